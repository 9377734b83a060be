//! A client: it acquires, heartbeats, releases or walks away, and remembers what it was told.

use super::check::Told;
use super::fleet::{Fleet, Place};
use super::{Choices, HOT, Run, TTL_MS};
use crate::harness::{Answer, Client, Edge, bare, user};
use http::Method;
use license_core::{Clock as _, SystemClock};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a client holds, as far as it knows.
struct Held {
    session: String,
    tenant: String,
    /// In the store's time.
    until: i64,
}

/// One client.
pub(super) struct Actor {
    edge: Arc<Edge>,
    sockets: Vec<PathBuf>,
    places: Arc<Vec<Place>>,
    run: Arc<Run>,
    choices: Choices,
    subject: String,
    client: Option<Client>,
    held: Option<Held>,
    told: Vec<Told>,
}

impl Actor {
    pub(super) fn new(fleet: &Fleet, run: Arc<Run>, seed: u64, number: u64) -> Self {
        Self {
            edge: fleet.edge.clone(),
            sockets: fleet.sockets.clone(),
            places: fleet.places.clone(),
            run,
            choices: Choices::of(seed * 1000 + number + 1),
            subject: format!("user-{seed}-{number}"),
            client: None,
            held: None,
            told: vec![],
        }
    }

    pub(super) async fn act(mut self) -> Vec<Told> {
        while self.run.goes_on() {
            match self.held.take() {
                None => self.acquire().await,
                Some(held) => match self.choices.below(10) {
                    0 => self.release(held).await,
                    // Walks away; the lease runs out.
                    1 => {}
                    _ => self.heartbeat(held).await,
                },
            }
            self.run.operations.fetch_add(1, Ordering::SeqCst);
        }
        self.told
    }

    /// Asks until somebody answers: a request whose connection died may have been carried out or not. Returns by how
    /// much the store's time was ahead of the answer's, too.
    async fn ask(
        &mut self,
        tenant: &str,
        method: Method,
        target: &str,
        body: &str,
    ) -> (Answer, i64) {
        loop {
            if self.client.is_none() {
                let socket = &self.sockets[self.choices.below(self.sockets.len() as u64) as usize];
                self.client = Client::try_connect(socket).await;
                if self.client.is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            let now = SystemClock::new().now().as_secs();
            let who = user(tenant, &self.subject);
            let assertion = self.edge.assertion(who, method.as_str(), target, body.as_bytes(), now);
            let request =
                bare(method.clone(), target, body.as_bytes(), &[("x-edge-assertion", &assertion)]);
            let Some(client) = self.client.as_mut() else { continue };
            // Time is not moved between an answer and its reading.
            let still = self.run.moves.read().await;
            let answer = client.try_send(request).await;
            let ahead = self.run.answers_ahead();
            drop(still);
            match answer {
                Ok(answer) if answer.status == 503 => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(answer) => return (answer, ahead),
                Err(_) => self.client = None,
            }
        }
    }

    async fn acquire(&mut self) {
        let hot = self.choices.below(3) == 0;
        let among = if hot { HOT } else { self.places.len() };
        let place = self.places[self.choices.below(among as u64) as usize].clone();
        let body = json!({"license_key": place.key, "hardware_id": self.subject}).to_string();
        let (answer, ahead) =
            self.ask(&place.tenant, Method::POST, "/api/v1/license/acquire", &body).await;
        match answer.status.as_u16() {
            201 | 200 => self.hold(&place.tenant, &answer, ahead),
            409 => assert_eq!(answer.text("error"), "no_seats_available"),
            _ => panic!("{answer:?}"),
        }
    }

    fn hold(&mut self, tenant: &str, answer: &Answer, ahead: i64) {
        let told = Told::of(answer, ahead);
        self.held = Some(Held {
            session: told.session.clone(),
            tenant: tenant.to_owned(),
            until: told.until,
        });
        self.told.push(told);
    }

    async fn heartbeat(&mut self, held: Held) {
        let target = format!("/api/v1/license/sessions/{}/heartbeat", held.session);
        let (answer, ahead) = self.ask(&held.tenant, Method::PATCH, &target, "").await;
        if answer.status == 200 {
            self.hold(&held.tenant, &answer, ahead);
            return;
        }
        answer.refused(410, "session_expired");
        // Who was live when nobody served has a term more from when somebody did.
        let graced = held.until > self.run.away_from.load(Ordering::SeqCst)
            && held.until <= self.run.grace.load(Ordering::SeqCst);
        let until =
            if graced { self.run.grace.load(Ordering::SeqCst) + TTL_MS } else { held.until };
        let now = self.run.now();
        assert!(now >= until, "{} was lost at {now}, though leased until {until}", held.session);
    }

    async fn release(&mut self, held: Held) {
        let target = format!("/api/v1/license/sessions/{}", held.session);
        let (answer, _) = self.ask(&held.tenant, Method::DELETE, &target, "").await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

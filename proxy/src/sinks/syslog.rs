//! Syslog: a message of RFC 5424 for each line, as a datagram (RFC 5426, or a Unix socket) or with counted octets on a
//! stream (RFC 6587, RFC 5425).

use std::collections::VecDeque;
use std::time::Duration;

use portcullis_config::model;
use portcullis_config::model::SyslogWay;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UdpSocket, UnixDatagram};

use super::SinkLine;
use super::courier::TIME_MAX;
use crate::egress::{Egress, EgressError, Wire};
use crate::incidents::{Outcome, of_error};

/// The longest name of a host in a message.
const HOST_BYTES_MAX: usize = 255;

/// A server of syslog.
pub(super) struct Syslog {
    settings: model::Syslog,
    /// This host's name, as messages give it.
    host: String,
    open: Option<Open>,
}

/// What is open towards it.
enum Open {
    Stream(Box<dyn Wire>),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

/// Why a message is not sent.
enum Failed {
    Egress(EgressError),
    Io(std::io::Error),
    Slow,
}

impl Failed {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Egress(error) => match of_error(error) {
                // The guard's rules may be changed: nothing is thrown away for them.
                Outcome::Refused(why) => Outcome::Later(why, None),
                outcome @ (Outcome::Delivered | Outcome::Later(..)) => outcome,
            },
            Self::Io(error) => Outcome::Later(error.to_string(), None),
            Self::Slow => Outcome::Later(format!("it took nothing for {TIME_MAX:?}"), None),
        }
    }
}

impl Syslog {
    pub(super) fn new(settings: &model::Syslog) -> Self {
        Self { settings: settings.clone(), host: host(), open: None }
    }

    /// Sends lines one by one, and takes each off `batch` when the system has taken it. Syslog acknowledges nothing: what
    /// the other end loses after that, nobody hears of.
    pub(super) async fn send(
        &mut self,
        batch: &mut VecDeque<SinkLine>,
        egress: &Egress,
    ) -> Outcome {
        while let Some(line) = batch.front() {
            let message = message(line, self.settings.facility, &self.host);
            let sent = tokio::time::timeout(TIME_MAX, self.send_one(&message, egress)).await;
            if let Err(failed) = sent.unwrap_or(Err(Failed::Slow)) {
                // A message that broke off is part of the stream: another one has to begin.
                self.open = None;
                return failed.outcome();
            }
            batch.pop_front();
        }
        Outcome::Delivered
    }

    async fn send_one(&mut self, message: &[u8], egress: &Egress) -> Result<(), Failed> {
        if let Some(Open::Stream(stream)) = &mut self.open
            && has_closed(stream).await
        {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(connect(&self.settings.to, egress).await?),
        };
        match open {
            Open::Stream(stream) => {
                let mut framed = format!("{} ", message.len()).into_bytes();
                framed.extend_from_slice(message);
                stream.write_all(&framed).await.map_err(Failed::Io)?;
                stream.flush().await.map_err(Failed::Io)
            }
            Open::Udp(socket) => socket.send(message).await.map(drop).map_err(Failed::Io),
            Open::Unix(socket) => socket.send(message).await.map(drop).map_err(Failed::Io),
        }
    }
}

async fn connect(to: &SyslogWay, egress: &Egress) -> Result<Open, Failed> {
    match to {
        SyslogWay::Tls { host, port } => {
            let stream = egress.tls_to(host, *port).await.map_err(Failed::Egress)?;
            Ok(Open::Stream(Box::new(stream)))
        }
        SyslogWay::Tcp { host, port } => {
            let stream = egress.tcp_to(host, *port).await.map_err(Failed::Egress)?;
            Ok(Open::Stream(Box::new(stream)))
        }
        SyslogWay::Udp { host, port } => {
            Ok(Open::Udp(egress.udp_to(host, *port).await.map_err(Failed::Egress)?))
        }
        SyslogWay::Unix(path) => {
            let socket = UnixDatagram::unbound().map_err(Failed::Io)?;
            socket.connect(path).map_err(Failed::Io)?;
            Ok(Open::Unix(socket))
        }
    }
}

/// Says whether the other end has closed a stream on which it never says anything. Without that the first message after
/// it would be written into the void.
async fn has_closed(stream: &mut Box<dyn Wire>) -> bool {
    let mut unread = [0; 64];
    let read = tokio::time::timeout(Duration::ZERO, stream.read(&mut unread)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// One message. There is no byte order mark before it: it would be part of the JSON.
fn message(line: &SinkLine, facility: u8, host: &str) -> Vec<u8> {
    let priority = u16::from(facility) * 8 + u16::from(line.severity);
    let (timestamp, kind, process) = (&line.timestamp, &line.kind, std::process::id());
    let mut message =
        format!("<{priority}>1 {timestamp} {host} portcullis {process} {kind} - ").into_bytes();
    message.extend_from_slice(&line.text);
    message
}

/// This host's name; `-` where it has none that a message can hold.
fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_bytes();
    let is_good =
        (1..=HOST_BYTES_MAX).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(name).ok().filter(|_| is_good);
    text.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::test_line;

    #[test]
    fn a_message_has_the_seven_fields_of_its_head() {
        let text = String::from_utf8(message(&test_line("{\"a\":1}"), 20, "edge-1")).unwrap();
        let process = std::process::id();
        assert_eq!(
            text,
            format!(
                "<164>1 2025-11-30T12:00:00.007Z edge-1 portcullis {process} xss - {{\"a\":1}}"
            )
        );
        assert!(host() == "-" || host().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

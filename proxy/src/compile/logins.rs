//! How people sign in to hosts: the providers, the secrets and the keys of their cookies.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_config::Diagnostic;
use portcullis_config::model::{self, Config, Host, Provider};

use super::sources::Sources;
use crate::login::{Login, Sealer};
use crate::tickets::parse;

/// Loads `login` of every host, by the host's name.
pub(super) fn load(config: &Config, sources: &mut Sources) -> HashMap<Box<str>, Arc<Login>> {
    let with = config.hosts.iter().filter_map(|host| Some((host, host.login.as_ref()?)));
    let loaded = with.filter_map(|(host, login)| {
        Some((host.name.as_str().into(), Arc::new(one(config, host, login, sources)?)))
    });
    loaded.collect()
}

fn one(config: &Config, host: &Host, login: &model::Login, sources: &mut Sources) -> Option<Login> {
    // Decoding has seen that it is one of these.
    let Provider::Oidc(oidc) = config.identity.providers.get(login.provider.as_str())? else {
        return None;
    };
    let secret = match &login.client_secret {
        Some(reference) => Some(sources.read_secret("the login's client secret", reference)?),
        None => None,
    };
    let text = sources.read_secret("the login's keys", &login.keys)?;
    let name = host.name.as_str();
    let made = parse(text.expose()).map_err(|why| why.to_string()).and_then(|secrets| {
        Sealer::new(&secrets, name).map_err(|_| "no key can be derived of it".to_owned())
    });
    let sealer = match made {
        Ok(sealer) => sealer,
        Err(why) => {
            let message = format!("`{}` is no file of keys: {why}", login.keys);
            let problem = Diagnostic::error("login-keys-invalid", message)
                .help("make one by `portcullis tls ticket-key FILE`");
            sources.report(problem, &login.keys.path().unwrap_or_default());
            return None;
        }
    };
    let mut scopes = vec!["openid"];
    scopes.extend(login.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid"));
    Some(Login {
        provider: login.provider.as_str().to_owned(),
        issuer: oidc.issuer.clone(),
        client_id: oidc.audience.clone(),
        secret,
        discovery: oidc.keys.url.clone(),
        scopes: scopes.join(" "),
        lifetime: login.session,
        sealer,
    })
}

//! Keys in a hardware module, which SoftHSM2 plays: the signing tests once more over it, in a process of its own, as
//! the module reads where its tokens are from the environment; and what only a module can do wrong.

use crate::harness::{World, user};
use license_core::settings::{KeyPlace, Pkcs11, Secret};
use license_core::signing::PortError;
use license_core::{Service, StartError};
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "license";
const PIN: &str = "5678";
/// Set in the process whose tests run over the module.
const INSIDE: &str = "LICENSE_TEST_HSM";

fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The token of a world, when this process's tests run over the module. Each world has keys of its own.
pub(crate) fn token_of(dir: &Path) -> Option<KeyPlace> {
    is_inside().then(|| {
        let label = dir.file_name().unwrap().to_str().unwrap();
        token(PIN, label)
    })
}

fn token(pin: &str, key_label: &str) -> KeyPlace {
    KeyPlace::Pkcs11(Pkcs11 {
        module: PathBuf::from(MODULE),
        token: TOKEN.to_owned(),
        pin: Secret::new(pin.to_owned()),
        key_label: key_label.to_owned(),
    })
}

/// What a settings file says of keys, here and over the module.
pub(crate) fn signing_yaml() -> String {
    if !is_inside() {
        return "signing: { wrapping_key: wrapping.key }\n".to_owned();
    }
    let pin = std::env::var("LICENSE_TEST_HSM_PIN_FILE").unwrap();
    format!(
        "signing: {{ pkcs11: {{ module: {MODULE}, token: {TOKEN}, pin: 'file:{pin}', key_label: binary }} }}\n"
    )
}

#[test]
fn the_signing_tests_hold_over_a_hardware_module() {
    if is_inside() {
        return;
    }
    if !Path::new(MODULE).exists() {
        assert!(
            std::env::var("REQUIRE_ALL").as_deref() != Ok("1"),
            "REQUIRE_ALL=1 and SoftHSM2 is absent (install softhsm2)"
        );
        println!("skipped: SoftHSM2 is absent (install softhsm2)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (conf, pin) = (dir.path().join("softhsm2.conf"), dir.path().join("pin"));
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    std::fs::write(&pin, PIN).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&pin, std::fs::Permissions::from_mode(0o600)).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", TOKEN, "--so-pin", "1234", "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");

    // A process is logged in to a token as a whole: what is about the PIN runs in one of its own.
    let everything = ["algorithms::", "offline::", "policies::", "receipts::", "restore::"];
    for (filters, least) in [(["hsm::"].as_slice(), 2_u32), (everything.as_slice(), 24)] {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(filters)
            // What these are about is the file of the wrapping key.
            .args(["--skip", "wrapping_key", "--skip", "hold_over_a_hardware_module"])
            .env("SOFTHSM2_CONF", &conf)
            .env("LICENSE_TEST_HSM_PIN_FILE", &pin)
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let (said, errors) = (run.stdout.escape_ascii().to_string(), run.stderr.escape_ascii());
        assert!(run.status.success(), "{said}\n{errors}");
        // Whatever the filters become, that many ran.
        let passed = said.split("test result: ok. ").nth(1).unwrap().split(' ').next().unwrap();
        assert!(passed.parse::<u32>().unwrap() >= least, "{said}");
    }
}

#[tokio::test]
async fn keys_move_into_a_module_within_a_day_and_a_wrong_pin_is_refused() {
    if !is_inside() {
        return;
    }
    let mut world = World::new().await;
    let license = world.license("acme", "editor", 9).await;
    // Keys in the store first, as `wrapping_key` says.
    let inside = |world: &World, pin: &str| {
        let mut settings = world.settings();
        settings.wrapping_key = Some(world.path("wrapping.key"));
        settings.key_place = Some(token(pin, "moving"));
        settings
    };
    let mut outside = world.settings();
    outside.wrapping_key = Some(world.path("wrapping.key"));
    outside.key_place = None;
    world.stop().await;
    world.running = Some(Service::start(outside, world.clock.clone()).await.unwrap());
    let old = world.acquire(user("acme", "anna"), &license.key, "hw").await;

    world.stop().await;
    let refused = Service::start(inside(&world, "1111"), world.clock.clone()).await.unwrap_err();
    let StartError::Signing(refused) = refused else { panic!("{refused:?}") };
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("refuses the PIN"), "{cause}");

    world.running = Some(Service::start(inside(&world, PIN), world.clock.clone()).await.unwrap());
    let kid = |receipt: &str| receipt.split('.').next().unwrap().to_owned();
    let same = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert_eq!(kid(old.text("receipt")), kid(same.text("receipt")), "the old key signs on");
    world.advance_secs(86_400).await;
    world.stop().await;
    world.running = Some(Service::start(inside(&world, PIN), world.clock.clone()).await.unwrap());
    let new = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert_ne!(kid(old.text("receipt")), kid(new.text("receipt")), "the module's key signs");

    // Taken out of the settings, the module's key is lost, and another one signs at once.
    world.stop().await;
    let mut outside = world.settings();
    outside.wrapping_key = Some(world.path("wrapping.key"));
    outside.key_place = None;
    world.running = Some(Service::start(outside, world.clock.clone()).await.unwrap());
    let back = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert_ne!(kid(new.text("receipt")), kid(back.text("receipt")));
}

#[tokio::test]
async fn a_module_that_is_none_is_refused_and_a_token_that_is_absent_stops_no_lease() {
    let world = World::new().await;
    let license = world.license("acme", "editor", 9).await;
    let mut world = world;
    world.stop().await;
    let mut settings = world.settings();
    let mut place = token(PIN, "none");
    let KeyPlace::Pkcs11(module) = &mut place else { panic!("{place:?}") };
    module.module = world.path("edge.jwks");
    settings.key_place = Some(place.clone());
    let refused = Service::start(settings.clone(), world.clock.clone()).await.unwrap_err();
    let StartError::Signing(refused) = refused else { panic!("{refused:?}") };
    let cause = std::error::Error::source(&refused).unwrap();
    assert!(matches!(cause.downcast_ref(), Some(PortError::Refused(_))), "{cause}");
    if !is_inside() {
        return;
    }
    let KeyPlace::Pkcs11(module) = &mut place else { panic!("{place:?}") };
    module.module = PathBuf::from(MODULE);
    module.token = "elsewhere".to_owned();
    settings.key_place = Some(place);
    world.running = Some(Service::start(settings, world.clock.clone()).await.unwrap());
    let got = world.acquire(user("acme", "anna"), &license.key, "hw").await;
    assert_eq!(got.status, 201, "{got:?}");
    assert!(got.body.get("receipt").is_none());
    assert!(world.running.as_ref().unwrap().metrics().render().contains("license_signer_up 0"));
}

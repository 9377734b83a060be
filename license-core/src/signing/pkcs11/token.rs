//! A token and the sessions with it.

use super::PortError;
use crate::settings::Pkcs11 as Settings;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Modules that this process has loaded. One is loaded once and never unloaded, as it keeps state of its own.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

/// Sessions that are kept open between signatures; the cap on signatures bounds those in use.
const IDLE_MAX: usize = 16;

/// Calls that may be in hand: a module that hangs holds the thread of each, and nobody can take it back.
const CALLS_MAX: usize = 32;

/// A token by its label.
pub(super) struct Token {
    module: Pkcs11,
    settings: Settings,
    idle: Mutex<Vec<Seat>>,
    calls: AtomicUsize,
    /// The token refused the PIN: a token locks itself after a few wrong ones, so that it is not tried again.
    pin_refused: AtomicBool,
}

/// A session, and the keys that were found in it.
pub(super) struct Seat {
    pub(super) session: Session,
    keys: HashMap<Vec<u8>, ObjectHandle>,
}

impl Seat {
    /// Finds the private key of this id.
    pub(super) fn private(&mut self, id: &[u8]) -> Result<ObjectHandle, PortError> {
        if let Some(key) = self.keys.get(id) {
            return Ok(*key);
        }
        let wanted = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(id.to_vec())];
        let found = self.session.find_objects(&wanted).map_err(failed)?;
        match found.as_slice() {
            [key] => {
                self.keys.insert(id.to_vec(), *key);
                Ok(*key)
            }
            [] => Err(PortError::Refused("the token has no key of this id".to_owned())),
            [..] => Err(PortError::Refused("the token has several keys of one id".to_owned())),
        }
    }
}

impl Token {
    /// Loads the module.
    pub(super) fn load(settings: &Settings) -> Result<Self, PortError> {
        Ok(Self {
            module: module(&settings.module)?,
            settings: settings.clone(),
            idle: Mutex::new(Vec::new()),
            calls: AtomicUsize::new(0),
            pin_refused: AtomicBool::new(false),
        })
    }

    /// Returns the label of the keys.
    pub(super) fn label(&self) -> &str {
        &self.settings.key_label
    }

    /// Does something in a session. One in which something failed is not used again.
    pub(super) fn with_session<T>(
        &self,
        work: impl FnOnce(&mut Seat) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        let _call = Call::begin(&self.calls)?;
        let idle = self.lock().pop();
        let mut seat = match idle {
            Some(seat) => seat,
            None => self.log_in()?,
        };
        match work(&mut seat) {
            Ok(done) => {
                let mut idle = self.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(seat);
                }
                Ok(done)
            }
            Err(error) => {
                // What broke one session, an unplugged token say, broke the idle ones too.
                self.lock().clear();
                Err(error)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Seat>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_in(&self) -> Result<Seat, PortError> {
        if self.pin_refused.load(Ordering::Relaxed) {
            return Err(PortError::Refused(
                "the token refused the PIN; it is not tried again before a restart".to_owned(),
            ));
        }
        let slot = self.slot()?;
        let session = self.module.open_rw_session(slot).map_err(failed)?;
        let pin = AuthPin::new(self.settings.pin.reveal().to_owned().into());
        match session.login(UserType::User, Some(&pin)) {
            // All sessions of a process with one token are logged in together.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
                Ok(Seat { session, keys: HashMap::new() })
            }
            Err(Error::Pkcs11(
                refused @ (RvError::PinIncorrect
                | RvError::PinLocked
                | RvError::PinExpired
                | RvError::PinInvalid
                | RvError::PinLenRange),
                _,
            )) => {
                self.pin_refused.store(true, Ordering::Relaxed);
                Err(PortError::Refused(format!("the token refuses the PIN ({refused:?})")))
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn slot(&self) -> Result<Slot, PortError> {
        let wanted = &self.settings.token;
        let mut found = None;
        for slot in self.module.get_slots_with_token().map_err(failed)? {
            let label = self.module.get_token_info(slot).map_err(failed)?;
            if label.label().trim_end() == wanted && found.replace(slot).is_some() {
                return Err(PortError::Refused(format!("two tokens are labelled `{wanted}`")));
            }
        }
        // A token can be plugged in later.
        found.ok_or_else(|| PortError::Down(format!("no token is labelled `{wanted}`")))
    }
}

/// A call that is in hand.
struct Call<'a>(&'a AtomicUsize);

impl<'a> Call<'a> {
    fn begin(calls: &'a AtomicUsize) -> Result<Self, PortError> {
        let begun = Self(calls);
        if calls.fetch_add(1, Ordering::AcqRel) < CALLS_MAX {
            return Ok(begun);
        }
        Err(PortError::Down("the module hangs: no more calls are begun".to_owned()))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn module(path: &Path) -> Result<Pkcs11, PortError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let refused = |error: Error| {
        PortError::Refused(format!("the module `{}` cannot be used: {error}", path.display()))
    };
    let module = Pkcs11::new(path).map_err(refused)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(refused(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// Says what the token said. Everything but the PIN may be otherwise later.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(super) fn failed(error: Error) -> PortError {
    PortError::Down(error.to_string())
}

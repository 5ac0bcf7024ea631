//! Pickers. A pick costs two calls and one plain object: what the two sides tell each other of it stands in four words
//! of memory that both see, because a converted argument or a wrapped object costs more than the choice itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;

use callsheet::host::{Outstanding, Ticket, Untaken};
use callsheet::{Error, Instance, Outcome, Pick, Result};
use napi::bindgen_prelude::{External, ToNapiValue, Uint32Array, Unknown};
use napi::{Env, sys};
use napi_derive::napi;

use crate::balance::{Key, bytes};
use crate::error::{guarded, invalid, panicked, thrown};
use crate::instance::row;

/// The words: slot and generation of the pick, then the number of its instance and the edition of these numbers. A
/// report has its outcome in the third.
const WORDS: usize = 4;

/// Numbers of instances that no longer exist, kept beyond this many before all are given anew.
const SLACK: usize = 64;

/// A picker on its way to JavaScript, which gives it its words.
pub struct LoosePicker(callsheet::Picker);

impl LoosePicker {
    pub(crate) fn external(core: callsheet::Picker) -> External<Self> {
        External::new(LoosePicker(core))
    }
}

/// A pick on its way to its picker.
pub struct LoosePick(RefCell<Option<Untaken>>);

impl LoosePick {
    pub(crate) fn external(pick: Untaken) -> External<Self> {
        External::new(LoosePick(RefCell::new(Some(pick))))
    }
}

/// A picker and its picks under way.
pub(crate) struct Picker(Rc<RefCell<Inner>>);

struct Inner {
    core: callsheet::Picker,
    outstanding: Outstanding,
    instances: Instances,
    /// Owns the memory behind `words`.
    _array: Uint32Array,
    words: *mut u32,
}

/// Instances by the numbers that JavaScript knows them by.
#[derive(Default)]
struct Instances {
    numbers: HashMap<usize, u32, BuildHasherDefault<AddressHasher>>,
    /// Keeps each alive, so that no other gets its address.
    kept: Vec<Arc<Instance>>,
    edition: u32,
}

/// Addresses are unequal as they are; a multiplication spreads them (Knuth, TAOCP 3, 6.4).
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

impl Instances {
    #[inline]
    fn number(&mut self, instance: &Arc<Instance>, alive: impl FnOnce() -> usize) -> u32 {
        let address = Arc::as_ptr(instance) as usize;
        match self.numbers.get(&address) {
            Some(number) => *number,
            None => self.add(address, instance.clone(), alive()),
        }
    }

    #[cold]
    fn add(&mut self, address: usize, instance: Arc<Instance>, alive: usize) -> u32 {
        if self.kept.len() > 2 * alive + SLACK {
            self.numbers.clear();
            self.kept.clear();
            self.edition = self.edition.wrapping_add(1);
        }
        let number = self.kept.len() as u32;
        self.numbers.insert(address, number);
        self.kept.push(instance);
        number
    }
}

impl Picker {
    pub(crate) fn core(&self) -> callsheet::Picker {
        self.0.borrow().core.clone()
    }
}

impl Inner {
    #[inline]
    fn pick(&mut self) -> Result<()> {
        let (ticket, pick) = self.outstanding.pick(&self.core)?;
        let number = self.instances.number(pick.instance(), || self.core.len());
        self.tell(ticket, number);
        Ok(())
    }

    fn add(&mut self, pick: Pick) {
        let (ticket, pick) = self.outstanding.add(pick);
        let number = self.instances.number(pick.instance(), || self.core.len());
        self.tell(ticket, number);
    }

    #[inline]
    fn tell(&mut self, ticket: Ticket, number: u32) {
        // SAFETY: `words` points to WORDS words that `_array` keeps, and JavaScript, the only other one that uses
        // them, is waiting for this call on this thread.
        let words = unsafe { &mut *self.words.cast::<[u32; WORDS]>() };
        *words = [ticket.index, ticket.generation, number, self.instances.edition];
    }

    #[inline]
    fn done(&mut self) {
        // SAFETY: as in `tell`.
        let [index, generation, outcome, _] = unsafe { *self.words.cast::<[u32; WORDS]>() };
        let outcome = match outcome {
            0 => Outcome::Ok,
            1 => Outcome::Failed,
            _ => Outcome::Cancelled,
        };
        self.outstanding.done(Ticket { index, generation }, outcome);
    }
}

/// The picker with its functions `pick` and `done`, which take and give nothing but these words.
#[napi]
pub fn picker_open<'env>(
    env: &'env Env,
    loose: &External<LoosePicker>,
    array: Uint32Array,
) -> napi::Result<(External<Picker>, Unknown<'env>, Unknown<'env>)> {
    if array.len() != WORDS {
        return Err(thrown(&invalid(format!("a picker takes {WORDS} words"))));
    }
    let words = array.as_ptr().cast_mut();
    let inner = Inner {
        core: loose.0.clone(),
        outstanding: Outstanding::default(),
        instances: Instances::default(),
        _array: array,
        words,
    };
    let shared = Rc::new(RefCell::new(inner));
    let pick = function(env, c"pick", raw_pick, &shared)?;
    let done = function(env, c"done", raw_done, &shared)?;
    Ok((External::new(Picker(shared)), pick, done))
}

/// An instance for a key.
#[napi]
pub fn picker_key(picker: &External<Picker>, key: Key) -> napi::Result<()> {
    guarded(|| {
        let mut inner = picker.0.borrow_mut();
        let pick = inner.core.pick_key(bytes(&key))?;
        inner.add(pick);
        Ok(())
    })
}

/// Another instance than those with the ids in `tried`, where there is another.
#[napi]
pub fn picker_other(picker: &External<Picker>, tried: Vec<String>, key: Option<Key>) -> napi::Result<()> {
    guarded(|| {
        let mut inner = picker.0.borrow_mut();
        let pick = match key {
            None => inner.core.pick_other(&tried)?,
            Some(key) => inner.core.pick_key_other(bytes(&key), &tried)?,
        };
        inner.add(pick);
        Ok(())
    })
}

/// The ids of the instances that are ejected now.
#[napi]
pub fn picker_ejected(picker: &External<Picker>) -> napi::Result<Vec<String>> {
    guarded(|| {
        let ejected = picker.0.borrow().core.ejected()?;
        Ok(ejected.iter().map(|instance| instance.id.clone()).collect())
    })
}

/// Takes over a pick that was waited for.
#[napi]
pub fn picker_adopt(picker: &External<Picker>, loose: &External<LoosePick>) -> napi::Result<()> {
    guarded(|| {
        if let Some(pick) = loose.0.take() {
            picker.0.borrow_mut().add(pick.take());
        }
        Ok(())
    })
}

/// The instance with this number, as JSON.
#[napi]
pub fn picker_instance(picker: &External<Picker>, number: u32) -> napi::Result<String> {
    guarded(|| {
        let inner = picker.0.borrow();
        let instance = inner.instances.kept.get(number as usize);
        Ok(instance.map(|instance| row(instance)).unwrap_or_default())
    })
}

#[napi]
pub fn picker_length(picker: &External<Picker>) -> u32 {
    picker.0.borrow().core.len() as u32
}

type Raw = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// A function of JavaScript's that finds `shared` by itself, which spares it the look for an argument.
fn function<'env>(
    env: &'env Env,
    name: &std::ffi::CStr,
    callback: Raw,
    shared: &Rc<RefCell<Inner>>,
) -> napi::Result<Unknown<'env>> {
    let data = Rc::into_raw(shared.clone()).cast::<c_void>().cast_mut();
    let mut value = ptr::null_mut();
    // SAFETY: `env` is of this thread, the name is text that ends in NUL, and `data` lives until `let_go`.
    napi::check_status!(unsafe {
        sys::napi_create_function(env.raw(), name.as_ptr(), -1, Some(callback), data, &mut value)
    })?;
    // SAFETY: as above. `let_go` runs once, when the function is collected; where this fails, `data` is never freed.
    napi::check_status!(unsafe {
        sys::napi_add_finalizer(env.raw(), value, data, Some(let_go), ptr::null_mut(), ptr::null_mut())
    })?;
    // SAFETY: `value` was made just now.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), value) })
}

unsafe extern "C" fn let_go(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `data` comes from `Rc::into_raw` in `function`, and this runs once, on the thread of the environment.
    drop(unsafe { Rc::from_raw(data.cast::<RefCell<Inner>>()) });
}

unsafe extern "C" fn raw_pick(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, info, Inner::pick)
}

unsafe extern "C" fn raw_done(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    run(env, info, |inner| {
        inner.done();
        Ok(())
    })
}

#[inline]
fn run(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    call: impl FnOnce(&mut Inner) -> Result<()>,
) -> sys::napi_value {
    let mut data = ptr::null_mut();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: Node calls with what it gives out; the data is that of `function`, alive while its function is.
        let shared = unsafe {
            let (none, nowhere) = (ptr::null_mut(), ptr::null_mut());
            sys::napi_get_cb_info(env, info, none, ptr::null_mut(), nowhere, &mut data);
            &*data.cast::<RefCell<Inner>>()
        };
        call(&mut shared.borrow_mut())
    }));
    match result {
        Ok(Ok(())) => ptr::null_mut(),
        Ok(Err(error)) => throw(env, &error),
        Err(panic) => throw(env, &panicked(&*panic)),
    }
}

#[cold]
fn throw(env: sys::napi_env, error: &Error) -> sys::napi_value {
    // SAFETY: `env` is the one that called, on its thread, with no exception pending.
    unsafe {
        if let Ok(value) = ToNapiValue::to_napi_value(env, thrown(error)) {
            sys::napi_throw(env, value);
        }
    }
    ptr::null_mut()
}

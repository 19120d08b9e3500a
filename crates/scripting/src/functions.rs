//! The libraries of FUNCTION LOAD and their functions: loaded once, kept by name, run in one state.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::host::{Host, Session};
use crate::library::{self, Function, Loading};
use crate::libs::random::Random;
use crate::lua::{Ref, Vm};
use crate::run::{self, Finished, Words};
use crate::sandbox::{self, Sandbox, Versions};
use crate::shebang::{self, LibraryHead, Refusal, ScriptFlags};

/// A loaded library that may not be in use yet.
pub struct Library {
    name: Box<[u8]>,
    /// As it was given, first line included.
    code: Box<[u8]>,
    functions: Vec<Function>,
}

/// What a function is.
#[derive(Clone, Copy, Debug)]
pub struct FunctionInfo<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What its library says of it.
    pub description: Option<&'a [u8]>,
    /// What it promises.
    pub flags: ScriptFlags,
}

impl Library {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its text.
    pub fn code(&self) -> &[u8] {
        &self.code
    }

    /// Its functions, in the order in which they were registered.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = FunctionInfo<'_>> {
        self.functions.iter().map(|function| FunctionInfo {
            name: &function.name,
            description: function.description.as_deref(),
            flags: function.flags,
        })
    }
}

/// The state in which functions run. It is made for the first library.
struct Machine {
    vm: Vm,
    sandbox: Sandbox,
    /// The globals while a library is loaded.
    loading: Ref,
    random: Random,
}

/// All libraries.
pub struct Functions {
    machine: Option<Machine>,
    versions: Versions,
    memory_limit: usize,
    libraries: BTreeMap<Box<[u8]>, Library>,
    /// The library of each function, and its place there, by its name in lower case.
    functions: BTreeMap<Box<[u8]>, Place>,
}

/// The library of a function, and its place there.
type Place = (Box<[u8]>, usize);

/// What FUNCTION RESTORE does with libraries that exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// All of them go first.
    Flush,
    /// They must have other names.
    Append,
    /// Those with the same name are replaced.
    Replace,
}

impl Functions {
    /// None yet. All of them together may take `memory_limit` bytes.
    pub fn new(versions: &Versions, memory_limit: usize) -> Functions {
        Functions {
            machine: None,
            versions: versions.clone(),
            memory_limit,
            libraries: BTreeMap::new(),
            functions: BTreeMap::new(),
        }
    }

    /// Forgets all libraries.
    pub fn flush(&mut self) {
        *self = Functions::new(&self.versions, self.memory_limit);
    }

    /// Changes how many bytes may be taken.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.memory_limit = bytes;
        if let Some(machine) = &mut self.machine {
            machine.vm.set_limit(bytes);
        }
    }

    /// Loads a library and puts it to use. Returns its name.
    ///
    /// # Errors
    /// If it does not compile, fails, registers no function, or takes a name that exists: that of a library unless
    /// `replace`, or that of another library's function.
    pub fn load(&mut self, code: &[u8], replace: bool, host: &mut dyn Host) -> Result<Vec<u8>, Refusal> {
        let name = head(code)?.name;
        if !replace && self.libraries.contains_key(&name[..]) {
            return Err(Refusal::quoting("Library '", &name, "' already exists"));
        }
        let library = self.prepare(code, host)?;
        if let Some(name) = self.taken(&library) {
            let refusal = Refusal::quoting("Function ", name, " already exists");
            self.discard(library);
            return Err(refusal);
        }
        self.insert(library);
        Ok(name)
    }

    /// Loads libraries, and puts all of them to use, or none.
    ///
    /// # Errors
    /// As [`Functions::load`].
    pub fn restore(&mut self, codes: &[Vec<u8>], policy: Policy, host: &mut dyn Host) -> Result<(), Refusal> {
        let mut fresh = Functions::new(&self.versions, self.memory_limit);
        if policy != Policy::Flush {
            // They share a state with those that exist, which they may have to live beside.
            fresh.machine = self.machine.take();
        }
        let loaded: Result<(), Refusal> =
            codes.iter().try_for_each(|code| fresh.load(code, false, host).map(|_| ()));
        let joined = loaded.and_then(|()| self.check_join(&fresh, policy));
        if policy == Policy::Flush {
            if joined.is_ok() {
                *self = fresh;
            }
            return joined;
        }
        self.machine = fresh.machine.take();
        for library in std::mem::take(&mut fresh.libraries).into_values() {
            if joined.is_ok() { self.insert(library) } else { self.discard(library) }
        }
        joined
    }

    /// Whether new libraries can stand beside those that exist.
    fn check_join(&self, fresh: &Functions, policy: Policy) -> Result<(), Refusal> {
        if policy == Policy::Flush {
            return Ok(());
        }
        for (name, library) in &fresh.libraries {
            if policy == Policy::Append && self.libraries.contains_key(name) {
                return Err(Refusal::quoting("Library ", name, " already exists"));
            }
            // A function of a library that is replaced as well is no obstacle.
            for function in &library.functions {
                let owner = self.functions.get(&*folded(&function.name)).map(|(owner, _)| owner);
                if owner.is_some_and(|owner| !fresh.libraries.contains_key(owner)) {
                    return Err(Refusal::quoting("Function ", &function.name, " already exists"));
                }
            }
        }
        Ok(())
    }

    /// Forgets a library; whether it existed.
    pub fn delete(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.libraries.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(&*folded(&function.name));
        }
        self.discard(library);
        true
    }

    /// The libraries by name.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = &Library> {
        self.libraries.values()
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// What a function promises, if it exists.
    pub fn flags(&self, name: &[u8]) -> Option<ScriptFlags> {
        let (library, place) = self.functions.get(&*folded(name))?;
        Some(self.libraries[library].functions[*place].flags)
    }

    /// Runs a function, which must exist.
    pub fn run(&mut self, name: &[u8], words: &dyn Words, host: &mut dyn Host) -> Finished<'_> {
        let (library, place) = &self.functions[&*folded(name)];
        let function = &self.libraries[library].functions[*place];
        let machine = self.machine.as_mut().expect("there is a function");
        let lua = machine.vm.lua();
        lua.push_ref(&function.callback);
        run::push_words(lua, words, run::Part::Keys);
        run::push_words(lua, words, run::Part::Arguments);
        let mut session = Session::new(host, machine.random);
        let result = machine.vm.call(&mut session, 2, &machine.sandbox.handler);
        machine.random = session.random;
        Finished::new(machine.vm.lua(), result, session.protocol, &function.name)
    }

    /// Bytes that the state has allocated.
    pub fn vm_memory(&self) -> usize {
        self.machine.as_ref().map_or(0, |machine| machine.vm.memory())
    }

    /// Bytes of the libraries' texts and of what finds them.
    pub fn memory(&self) -> usize {
        let names = self.functions.keys().map(|name| 2 * name.len() + size_of::<Function>());
        let texts = self.libraries.values().map(|library| library.code.len() + size_of::<Library>());
        names.sum::<usize>() + texts.sum::<usize>()
    }

    /// A function of `library` that another library has.
    fn taken<'l>(&self, library: &'l Library) -> Option<&'l [u8]> {
        let taken = library.functions.iter().find(|function| {
            self.functions.get(&*folded(&function.name)).is_some_and(|(owner, _)| *owner != library.name)
        });
        taken.map(|function| &function.name[..])
    }

    fn insert(&mut self, library: Library) {
        self.delete(&library.name);
        for (place, function) in library.functions.iter().enumerate() {
            let name = folded(&function.name).into_owned().into();
            self.functions.insert(name, (library.name.clone(), place));
        }
        self.libraries.insert(library.name.clone(), library);
    }

    fn discard(&mut self, library: Library) {
        if let Some(machine) = &mut self.machine {
            for function in library.functions {
                machine.vm.lua().release(function.callback);
            }
        }
    }

    /// Runs the code of a library, and collects what it registers.
    fn prepare(&mut self, code: &[u8], host: &mut dyn Host) -> Result<Library, Refusal> {
        let LibraryHead { name, code: text, .. } = head(code)?;
        let (versions, limit) = (&self.versions, self.memory_limit);
        let machine = self.machine.get_or_insert_with(|| Machine::new(versions, limit));
        let functions = machine.load(text, host)?;
        let library = Library { name: name.into(), code: code.into(), functions };
        if library.functions.is_empty() {
            return Err(Refusal::text("No functions registered"));
        }
        Ok(library)
    }
}

/// A function's name without the difference of upper and lower case, which does not count.
fn folded(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().any(u8::is_ascii_uppercase) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// The parts of a library's text, if its name and engine can be.
fn head(code: &[u8]) -> Result<LibraryHead<'_>, Refusal> {
    let head = shebang::library(code)?;
    if !library::is_name(&head.name) {
        return Err(Refusal::text(library::NAME_RULE));
    }
    if !head.engine.eq_ignore_ascii_case(b"lua") {
        return Err(Refusal::quoting("Engine '", &head.engine, "' not found"));
    }
    Ok(head)
}

impl Machine {
    fn new(versions: &Versions, limit: usize) -> Machine {
        let mut vm = Vm::new(limit);
        let (sandbox, loading) = sandbox::for_functions(&mut vm, versions);
        Machine { vm, sandbox, loading, random: Random::new(0) }
    }

    /// Runs the text of a library. Its globals are few while it runs, and those of functions afterwards.
    fn load(&mut self, text: &[u8], host: &mut dyn Host) -> Result<Vec<Function>, Refusal> {
        let lua = self.vm.lua();
        if lua.load(text, c"@user_function").is_err() {
            let reason = lua.bytes(-1).unwrap_or(b"not enough memory").to_vec();
            lua.pop(1);
            return Err(Refusal::quoting("Error compiling function: ", &reason, ""));
        }
        sandbox::show(lua, &self.loading);
        let mut session = Session::new(host, self.random);
        session.loading = Some(Loading::default());
        let result = self.vm.call(&mut session, 0, &self.sandbox.handler);
        let functions = session.loading.map(|loading| loading.functions).unwrap_or_default();
        let lua = self.vm.lua();
        sandbox::show(lua, &self.sandbox.globals);
        let failed = result.is_err().then(|| run::describe(lua).0);
        lua.pop(1);
        let Some(reason) = failed else { return Ok(functions) };
        for function in functions {
            lua.release(function.callback);
        }
        Err(Refusal::quoting("Error registering functions: ", &reason, ""))
    }
}

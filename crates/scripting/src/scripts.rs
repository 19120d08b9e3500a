//! The scripts of EVAL and SCRIPT LOAD: compiled once, kept by their SHA-1 digest, run in one state.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::api;
use crate::host::{Host, Session};
use crate::libs::random::Random;
use crate::lua::{Lua, Ref, Vm};
use crate::names::Name;
use crate::run::{self, Finished, Words};
use crate::sandbox::{self, Sandbox, Versions};
use crate::shebang::{self, Refusal, ScriptFlags};

/// Scripts that EVAL has brought are forgotten beyond this number, the least recently used first.
const MOST_EVALUATED: usize = 500;

/// A digest: 40 hexadecimal digits in lower case.
pub type Digest = [u8; 40];

type Map<K> = HashMap<K, ScriptId, BuildHasherDefault<DefaultHasher>>;

/// Names a compiled script, until the next one is compiled or all are flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScriptId(u32);

struct Script {
    digest: Digest,
    body: Arc<[u8]>,
    flags: ScriptFlags,
    function: Ref,
    /// When it was last run, counted in runs; `None` if SCRIPT LOAD has brought it, so that it stays.
    used: Option<u64>,
}

/// All scripts.
pub struct Scripts {
    vm: Vm,
    sandbox: Sandbox,
    versions: Versions,
    memory_limit: usize,
    slots: Vec<Option<Script>>,
    free: Vec<u32>,
    by_digest: Map<Digest>,
    by_body: Map<Arc<[u8]>>,
    /// Scripts that EVAL has brought.
    evaluated: usize,
    random: Random,
    runs: u64,
    evicted: u64,
}

impl Scripts {
    /// None yet. All of them together may take `memory_limit` bytes.
    pub fn new(versions: &Versions, memory_limit: usize) -> Scripts {
        let mut vm = Vm::new(memory_limit);
        let sandbox = sandbox::for_scripts(&mut vm, versions);
        Scripts {
            vm,
            sandbox,
            versions: versions.clone(),
            memory_limit,
            slots: Vec::new(),
            free: Vec::new(),
            by_digest: Map::default(),
            by_body: Map::default(),
            evaluated: 0,
            random: Random::new(0),
            runs: 0,
            evicted: 0,
        }
    }

    /// Forgets all scripts, and whatever they have left behind.
    pub fn flush(&mut self) {
        *self = Scripts { evicted: self.evicted, ..Scripts::new(&self.versions, self.memory_limit) };
    }

    /// Changes how many bytes may be taken.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.memory_limit = bytes;
        self.vm.set_limit(bytes);
    }

    /// The script with a body, compiled now if it is new.
    ///
    /// # Errors
    /// If it does not compile, or its first line is wrong.
    pub fn evaluate(&mut self, body: &[u8]) -> Result<ScriptId, Refusal> {
        match self.by_body.get(body) {
            Some(id) => Ok(*id),
            None => {
                let used = Some(self.runs);
                self.compile(body, used)
            }
        }
    }

    /// The same, to be kept until all are flushed. Returns its digest.
    ///
    /// # Errors
    /// As [`Scripts::evaluate`].
    pub fn load(&mut self, body: &[u8]) -> Result<Digest, Refusal> {
        let id = match self.by_body.get(body) {
            Some(id) => *id,
            None => self.compile(body, None)?,
        };
        let script = self.script_mut(id);
        if script.used.take().is_some() {
            self.evaluated -= 1;
        }
        Ok(self.script(id).digest)
    }

    /// The script with a digest, in upper or lower case.
    pub fn find(&self, digest: &[u8]) -> Option<ScriptId> {
        let mut lower: Digest = digest.try_into().ok()?;
        lower.make_ascii_lowercase();
        self.by_digest.get(&lower).copied()
    }

    /// What the first line of a script says.
    pub fn flags(&self, id: ScriptId) -> ScriptFlags {
        self.script(id).flags
    }

    /// The text of a script.
    pub fn body(&self, id: ScriptId) -> &Arc<[u8]> {
        &self.script(id).body
    }

    /// The digest of a script.
    pub fn digest(&self, id: ScriptId) -> &Digest {
        &self.script(id).digest
    }

    /// Runs a script.
    pub fn run(&mut self, id: ScriptId, words: &dyn Words, host: &mut dyn Host) -> Finished<'_> {
        self.runs += 1;
        let runs = self.runs;
        let script = self.slots[id.0 as usize].as_mut().expect("the script exists");
        if let Some(used) = &mut script.used {
            *used = runs;
        }
        let lua = self.vm.lua();
        lua.push_ref(&self.sandbox.globals);
        run::push_words(lua, words, run::Part::Keys);
        lua.set_named(-2, Name::Keys);
        run::push_words(lua, words, run::Part::Arguments);
        lua.set_named(-2, Name::Argv);
        lua.pop(1);
        lua.push_ref(&script.function);
        let mut session = Session::new(host, self.random);
        let result = self.vm.call(&mut session, 0, &self.sandbox.handler);
        self.random = session.random;
        Finished::new(self.vm.lua(), result, session.protocol, &script.digest)
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_digest.is_empty()
    }

    /// Bytes that the state has allocated.
    pub fn vm_memory(&self) -> usize {
        self.vm.memory()
    }

    /// Bytes of the scripts' texts and of what finds them.
    pub fn memory(&self) -> usize {
        let entry =
            size_of::<Script>() + size_of::<Digest>() + size_of::<Arc<[u8]>>() + 2 * size_of::<ScriptId>();
        self.slots.iter().flatten().map(|script| script.body.len() + entry).sum()
    }

    /// Forgets how many there were.
    pub fn reset_evicted(&mut self) {
        self.evicted = 0;
    }

    /// Scripts forgotten because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn script(&self, id: ScriptId) -> &Script {
        self.slots[id.0 as usize].as_ref().expect("the script exists")
    }

    fn script_mut(&mut self, id: ScriptId) -> &mut Script {
        self.slots[id.0 as usize].as_mut().expect("the script exists")
    }

    fn compile(&mut self, body: &[u8], used: Option<u64>) -> Result<ScriptId, Refusal> {
        let (flags, code) = shebang::script(body)?;
        let function = compile(self.vm.lua(), code)?;
        if used.is_some() {
            self.evaluated += 1;
            if self.evaluated > MOST_EVALUATED {
                self.evict();
            }
        }
        let script = Script { digest: api::hex(body), body: body.into(), flags, function, used };
        let id = ScriptId(self.free.pop().unwrap_or(self.slots.len() as u32));
        self.by_digest.insert(script.digest, id);
        self.by_body.insert(script.body.clone(), id);
        match self.slots.get_mut(id.0 as usize) {
            Some(slot) => *slot = Some(script),
            None => self.slots.push(Some(script)),
        }
        Ok(id)
    }

    /// Forgets the script that EVAL has used least recently.
    fn evict(&mut self) {
        let candidates = self.slots.iter().enumerate();
        let oldest = candidates
            .filter_map(|(i, script)| Some((script.as_ref()?.used?, i)))
            .min()
            .map(|(_, i)| i)
            .and_then(|i| Some((i, self.slots[i].take()?)));
        let Some((i, script)) = oldest else { return };
        self.by_digest.remove(&script.digest);
        self.by_body.remove(&script.body);
        self.vm.lua().release(script.function);
        self.free.push(i as u32);
        self.evaluated -= 1;
        self.evicted += 1;
    }
}

fn compile(lua: &mut Lua, code: &[u8]) -> Result<Ref, Refusal> {
    match lua.load(code, c"@user_script") {
        Ok(()) => Ok(lua.keep()),
        Err(_) => {
            let text = lua.bytes(-1).unwrap_or(b"not enough memory").to_vec();
            lua.pop(1);
            Err(Refusal::quoting("Error compiling script (new function): ", &text, ""))
        }
    }
}

//! What must happen whole, or not at all: short programs that Redis runs.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind};

use super::END_DIGITS;

/// All scripts. Each touches one key, so each works in a cluster.
pub(super) struct Scripts {
    pub(super) replace: Script,
    pub(super) touch: Script,
    pub(super) extend: Script,
    pub(super) give_back: Script,
    pub(super) revoke: Script,
}

pub(super) struct Script {
    text: String,
    hash: String,
}

/// now, sealed. Another value with the same end.
const REPLACE: &str = r"
local ends = redis.call('GETRANGE', KEYS[1], 0, DIGITS - 1)
if #ends < DIGITS or not (tonumber(ends) > tonumber(ARGV[1])) then return 0 end
redis.call('SET', KEYS[1], ends .. ARGV[2], 'KEEPTTL')
return 1";

/// now, digits of the new end, seconds left. (`EXPIRE … GT` needs Redis 7.0, and would know nothing of our own end.)
const TOUCH: &str = r"
local ends = redis.call('GETRANGE', KEYS[1], 0, DIGITS - 1)
if #ends < DIGITS or not (tonumber(ends) > tonumber(ARGV[1])) then return 0 end
if tonumber(ARGV[2]) > tonumber(ends) then
  redis.call('SETRANGE', KEYS[1], 0, ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 1";

/// holder, milliseconds.
const EXTEND: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1";

/// holder.
const GIVE_BACK: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// now, end, seconds left, limit, entry, whose, covered. Drops what is over from the front first, a bounded number at a time:
/// entries come about in the order of their ends. Where `covered` is not 0, so many of the same issuer's that end no later go
/// as well: the new one, which is nobody's in particular, says as much. The list goes when its last entry is over.
const REVOKE: &str = r"
for _ = 1, 20 do
  local over = {}
  local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 100)
  for _, entry in ipairs(first) do
    if tonumber(entry[2][2]) > tonumber(ARGV[1]) then break end
    over[#over + 1] = entry[1]
  end
  if #over > 0 then redis.call('XDEL', KEYS[1], unpack(over)) end
  if #over < 100 then break end
end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
local room, whose = tonumber(ARGV[7]), ARGV[6]
if room > 0 then
  whose = ''
  local start = '-'
  while room > 0 do
    local page, covered = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', 1000), {}
    for _, entry in ipairs(page) do
      if entry[2][6] == ARGV[6] and tonumber(entry[2][2]) <= tonumber(ARGV[2]) then covered[#covered + 1] = entry[1] end
    end
    if #covered > 0 then redis.call('XDEL', KEYS[1], unpack(covered)) end
    room = room - #covered
    if #page < 1000 then break end
    local time, count = string.match(page[#page][1], '^(%d+)-(%d+)$')
    start = time .. '-' .. string.format('%d', tonumber(count) + 1)
  end
end
redis.call('XADD', KEYS[1], '*', 'until', ARGV[2], 'entry', ARGV[5], 'of', whose)
if redis.call('TTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1";

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            replace: Script::new(REPLACE),
            touch: Script::new(TOUCH),
            extend: Script::new(EXTEND),
            give_back: Script::new(GIVE_BACK),
            revoke: Script::new(REVOKE),
        }
    }
}

impl Script {
    fn new(text: &str) -> Self {
        let text = text.trim_start().replace("DIGITS", &END_DIGITS.to_string());
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }

    pub(super) fn by_hash(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVALSHA", &self.hash, key, arguments)
    }

    pub(super) fn whole(&self, key: &str, arguments: &[&[u8]]) -> Cmd {
        Self::command("EVAL", &self.text, key, arguments)
    }

    fn command(name: &str, what: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(what).arg(1).arg(key);
        for argument in arguments {
            command.arg(*argument);
        }
        command
    }
}

/// Whether Redis does not have the script: after a restart, or never had.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

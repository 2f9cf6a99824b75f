-- Doorward's question, for HAProxy 2.6 or later. `doorward snippet haproxy` prints the configuration that goes with it.
--
-- `http-request lua.doorward` asks whether the request may go on. On a yes it takes away what the client must not say, sets
-- what Doorward says instead, and then, last of all, the variable txn.doorward_allowed. On a no the client gets Doorward's
-- whole answer. Should anything fail on the way, that variable is not set, and the configuration denies the request.
--
-- What it needs to know comes in environment variables, which the configuration sets:
--   DOORWARD_CHECK    the URL that is asked
--   DOORWARD_SERVER   where it is, as HAProxy writes addresses; unset: where the URL says
--   DOORWARD_HEADERS  names that Doorward sets, with spaces between them
--   DOORWARD_KEEP     oddly spelled names that an app gets nevertheless, as `route:name`, with spaces between them
--   DOORWARD_PORT     the port in the address bar of browsers
--   DOORWARD_SECRET   what Doorward wants to hear from trusted peers; unset: nothing

-- In milliseconds, for one attempt; HAProxy makes three more when nothing comes. Doorward itself answers within five seconds.
local TIMEOUT = 6000

local function setting(name)
    local value = os.getenv(name)
    if value == "" then return nil end
    return value
end

-- Values in one question. With more than tune.http.maxhdr (101 unless written) HAProxy 2.6 writes past the end of its own list,
-- and ends; a client can send that many over HTTP/2.
local MOST = 90

local check = assert(setting("DOORWARD_CHECK"), "DOORWARD_CHECK is not set: the URL that is asked")
local port = assert(setting("DOORWARD_PORT"), "DOORWARD_PORT is not set: the port in the address bar of browsers")
local server = setting("DOORWARD_SERVER")
local secret = setting("DOORWARD_SECRET")

local mapped = {}
for name in (setting("DOORWARD_HEADERS") or ""):gmatch("%S+") do
    mapped[#mapped + 1] = name:lower()
end

local kept = {}
for route, name in (setting("DOORWARD_KEEP") or ""):gmatch("([^%s:]+):(%S+)") do
    kept[route] = kept[route] or {}
    kept[route][name:lower()] = true
end

-- What belongs to one connection or one body (RFC 9110 7.6.1), and Host, which the question has of its own.
local not_asked = {
    ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true,
    ["transfer-encoding"] = true, ["upgrade"] = true, ["http2-settings"] = true, ["content-length"] = true,
    ["expect"] = true, ["host"] = true,
}
-- What of an answer is about the connection to Doorward.
local not_relayed = {
    ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true,
    ["x-doorward-status"] = true, ["x-doorward-decision"] = true,
}

-- All values of a header. HAProxy counts from 0.
local function values(headers, name)
    local found = {}
    local all = headers[name]
    if all == nil then return found end
    local at = 0
    while all[at] ~= nil do
        found[#found + 1] = all[at]
        at = at + 1
    end
    return found
end

-- The value of a header that is there exactly once.
local function one(headers, name)
    local found = values(headers, name)
    if #found ~= 1 or found[1] == "" then return nil end
    return found[1]
end

-- The question's headers, and how many values they have.
local function question(txn, headers)
    local asked, count = {}, 0
    for name in pairs(headers) do
        local lower = name:lower()
        local ours = lower:find("^x%-forwarded%-") or lower:find("^x%-doorward%-") or lower:find("[^%w-]")
        if not not_asked[lower] and not ours then
            asked[lower] = values(headers, name)
        end
    end
    asked["x-forwarded-method"] = { txn.f:method() }
    -- Over HTTP/2 (RFC 8441) a handshake has no key yet: the scheme says what it is.
    asked["x-forwarded-proto"] = { headers["upgrade"] and "wss" or "https" }
    asked["x-forwarded-host"] = values(headers, "host")
    asked["x-forwarded-uri"] = { txn.f:pathq() }
    asked["x-forwarded-for"] = { tostring(txn.f:src()) }
    if secret then asked["x-doorward-secret"] = { secret } end
    for _, all in pairs(asked) do count = count + #all end
    return asked, count
end

-- Sends `reply` to the client; nothing after it runs.
local function answer(txn, status, reason, headers, body)
    local reply = txn:reply({ status = status, reason = reason })
    for name in pairs(headers) do
        if not not_relayed[name:lower()] then
            for _, value in ipairs(values(headers, name)) do
                reply:add_header(name, value)
            end
        end
    end
    -- RFC 9110 9.3.2, 15.3.5
    if txn.f:method() ~= "HEAD" and status ~= 204 then reply:set_body(body or "") end
    txn:done(reply)
end

local function unavailable(txn, why)
    txn:Warning("doorward: " .. why)
    local headers = {
        ["retry-after"] = { [0] = "5" }, ["cache-control"] = { [0] = "no-store" }, ["content-type"] = { [0] = "text/plain" },
    }
    answer(txn, 503, "Service Unavailable", headers, "Nobody can be let in at the moment.\n")
end

-- Replaces what the client says of itself.
local function admit(txn, route, told)
    local http = txn.http
    for name in pairs(http:req_get_headers()) do
        local keep = kept[route] and kept[route][name:lower()]
        -- To many apps such a name is the same as one with `-`.
        if name:find("[^%w-]") and not name:find("^:") and not keep then http:req_del_header(name) end
    end
    for _, name in ipairs(mapped) do
        http:req_del_header(name)
        local value = one(told, name)
        if value then http:req_set_header(name, value) end
    end
    for _, name in ipairs({ "cookie", "authorization" }) do
        http:req_del_header(name)
        local value = one(told, name)
        if value then http:req_set_header(name, value) end
    end
end

local function doorward(txn)
    local headers = txn.http:req_get_headers()
    local host = one(headers, "host")
    if not host then
        return answer(txn, 400, "Bad Request", {}, "")
    end
    local asked, count = question(txn, headers)
    if count > MOST then
        return answer(txn, 431, "Request Header Fields Too Large", {}, "")
    end
    local response = core.httpclient():get({ url = check, dst = server, headers = asked, timeout = TIMEOUT })
    local status = response and response.status or 0
    if status < 200 then
        return unavailable(txn, "no answer from " .. check)
    end
    local told = response.headers
    local decision = one(told, "x-doorward-decision")
    if status == 200 and decision == "allow" then
        local route = one(told, "x-doorward-route")
        if not route then return unavailable(txn, "an answer without a route") end
        admit(txn, route, told)
        -- The name as Doorward read it: lower case, without a final dot, and with the port of the address bar.
        local name = host:lower():gsub(":%d+$", ""):gsub("%.$", "")
        if port ~= "443" then name = name .. ":" .. port end
        txn:set_var("txn.doorward_host", name)
        txn:set_var("txn.doorward_request_id", one(told, "x-request-id") or "")
        local renewal = one(told, "set-cookie")
        if renewal then txn:set_var("txn.doorward_set_cookie", renewal) end
        txn:set_var("txn.doorward_route", route)
        txn:set_var("txn.doorward_allowed", true)
        return
    end
    if decision ~= "refuse" or status < 300 then
        return unavailable(txn, "an answer that is neither yes nor no, with status " .. status)
    end
    -- What would look like a yes on the way to a browser comes as 403 and says so (an answered preflight).
    local meant = tonumber(one(told, "x-doorward-status") or "")
    if meant and meant >= 200 and meant < 600 then
        return answer(txn, math.tointeger(meant) or 403, "", told, response.body)
    end
    return answer(txn, status, response.reason or "", told, response.body)
end

core.register_action("doorward", { "http-req" }, doorward)

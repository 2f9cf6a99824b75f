-- head, tokens_file, once, statuses and address are written before this.
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds; long nanoseconds; } moment; int clock_gettime(int clock, moment *now);")

local function microseconds()
    local now = ffi.new("moment[1]")
    ffi.C.clock_gettime(1, now) -- CLOCK_MONOTONIC
    return tonumber(now[0].seconds) * 1e6 + math.floor(tonumber(now[0].nanoseconds) / 1000)
end

if tokens_file then
    local requests, at = {}, 0
    began, ended = 0, 0

    function init()
        for token in io.lines(tokens_file) do
            requests[#requests + 1] = head .. "Authorization: Bearer " .. token .. "\r\n\r\n"
        end
        began = microseconds()
    end

    function request()
        at = at + 1
        if at > #requests then
            if once then
                -- Asked again by a connection that became ready at the same moment: not counted.
                if ended == 0 then ended = microseconds() end
                wrk.thread:stop()
            end
            at = once and #requests or 1
        end
        return requests[at]
    end
else
    -- wrk asks once for what to send, and sends that.
    wrk.format = function() return head .. "\r\n" end
end

if statuses then
    refused = 0
    function response(status)
        if status < 200 or status > 299 then refused = refused + 1 end
    end
end

-- The host is for the certificate; nobody looks it up.
local resolve = wrk.resolve
wrk.resolve = function(_, service) resolve(address, service) end

local thread
function setup(it) thread = it end

function done(summary, latency)
    local errors = summary.errors
    local duration = summary.duration
    local last = tokens_file and thread:get("ended") or 0
    if last > 0 then duration = last - thread:get("began") end
    io.write(string.format('{"requests":%d,"microseconds":%d,"errors":%d,"refused":%d,"p50_us":%d,"p99_us":%d}\n',
        summary.requests, duration, errors.connect + errors.read + errors.write + errors.timeout,
        statuses and thread:get("refused") or errors.status, latency:percentile(50), latency:percentile(99)))
end

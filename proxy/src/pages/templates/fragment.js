"use strict";
// What follows `#` never reaches a server: it goes into the value of `return_to`, with which the link ends.
const link = document.getElementById("sign-in");
if (location.hash.length > 1 && location.hash.length <= 1024) link.href += encodeURIComponent(location.hash);
location.replace(link.href);

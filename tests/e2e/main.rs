//! End to end: the real `doorward` process between a certified OpenID provider, two sample apps, and clients that are
//! HTTP libraries or Chromium. `./x test` builds and installs what this needs; what is missing is a failure that says
//! what to run.

mod apps;
mod bearer;
mod browser;
mod browser_app;
mod browser_hosts;
mod client;
mod clock;
mod edge;
mod fleet;
mod logout;
mod outage;
mod pages;
mod refresh;
mod restarts;
mod sign_in;
mod signout;
mod world;

//! Behind other proxies: real nginx, HAProxy, Caddy, Traefik and Envoy, each with the text that `doorward snippet` prints for it, in front
//! of an app that records what it gets. `./x test` installs what this needs; what is missing is a failure that says so.

mod browser;
mod cases;
mod exceptions;
mod matrix;
mod mutations;
mod outcome;
mod stage;
mod streams;
mod trust;
mod visits;

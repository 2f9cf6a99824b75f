//! Our own events, as lines on standard error; standard output belongs to results and the access log.

/// Writes them down from now on, those of `wanted` unless `DOORWARD_LOG` says others. Lines of libraries stay silent: some of
/// them print raw requests.
pub(super) fn to_stderr(wanted: &str) {
    use tracing_subscriber::EnvFilter;
    // Empty is what a compose file makes of a variable that nobody set; it must not silence us.
    let asked = std::env::var("DOORWARD_LOG").ok().filter(|text| !text.trim().is_empty());
    let filter = asked.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(wanted));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).finish();
    // Set by nobody before us; if it were, its lines would be as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

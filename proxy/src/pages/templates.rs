//! The templates: ours, or those of a folder that replace ours by name.

use std::path::{Path, PathBuf};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

use super::words::fill_filter;

const STYLE: &str = "style.css";

/// Runs on one page alone, and is named by its hash.
pub(super) const SCRIPT: &str = include_str!("templates/fragment.js");

/// Name and text of each.
pub(super) const OURS: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("denied.html", include_str!("templates/denied.html")),
    ("error.html", include_str!("templates/error.html")),
    ("fragment.html", include_str!("templates/fragment.html")),
    ("loop.html", include_str!("templates/loop.html")),
    ("picker.html", include_str!("templates/picker.html")),
    ("resume.html", include_str!("templates/resume.html")),
    ("session_ended_form.html", include_str!("templates/session_ended_form.html")),
    ("sign_out.html", include_str!("templates/sign_out.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
    ("whoami.html", include_str!("templates/whoami.html")),
    (STYLE, include_str!("templates/style.css")),
];

/// Bytes of a file that replaces one of ours.
const LARGEST: u64 = 256 * 1024;

/// Why a folder's pages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PagesFault {
    #[error("failed to read `{path}`: {error}")]
    Read { path: PathBuf, error: std::io::Error },
    #[error("`{0}` replaces no page: there are {names}", names = names())]
    Unknown(PathBuf),
    #[error("`{0}` is larger than 256 KiB")]
    Large(PathBuf),
    #[error("`{0}` is not UTF-8")]
    Encoding(PathBuf),
    #[error("`{0}` contains `</`, which would end the style sheet inside a page")]
    Style(PathBuf),
    /// A template that does not compile, or fails with the values it will be given.
    #[error("{place}: {text}")]
    Template { place: String, text: String },
    /// Our own words cannot be used.
    #[error("{0}")]
    Words(String),
}

fn names() -> String {
    OURS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Compiled templates and the style sheet they use.
pub(super) struct Templates {
    environment: Environment<'static>,
    pub(super) style: String,
    folder: Option<PathBuf>,
    replaced: Vec<String>,
}

impl Templates {
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, PagesFault> {
        let replacements = folder.map(read_folder).transpose()?.unwrap_or_default();
        let mut environment = Environment::new();
        // Every value is escaped, whatever the template is called.
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_filter("fill", fill_filter);
        let mut templates = Self {
            environment,
            style: String::new(),
            folder: folder.map(Path::to_path_buf),
            replaced: replacements.iter().map(|(name, _)| name.clone()).collect(),
        };
        for (name, ours) in OURS {
            let source = replacements.iter().find(|(replaced, _)| replaced == name).map_or(*ours, |(_, text)| text.as_str());
            if *name == STYLE {
                templates.style = source.to_owned();
                continue;
            }
            let added = templates.environment.add_template_owned(*name, source.to_owned());
            added.map_err(|error| templates.fault(name, &error))?;
        }
        templates.environment.add_global("style", Value::from_safe_string(templates.style.clone()));
        templates.environment.add_global("script", Value::from_safe_string(SCRIPT.to_owned()));
        Ok(templates)
    }

    pub(super) fn render(&self, name: &str, values: Value) -> Result<String, Error> {
        self.environment.get_template(name)?.render(values)
    }

    /// `error`, with file and line.
    pub(super) fn fault(&self, rendered: &str, error: &Error) -> PagesFault {
        let name = error.name().unwrap_or(rendered);
        let file = match self.folder.as_ref().filter(|_| self.replaced.iter().any(|replaced| replaced == name)) {
            Some(folder) => folder.join(name).display().to_string(),
            None => format!("our own {name}"),
        };
        let place = error.line().map_or(file.clone(), |line| format!("{file}:{line}"));
        let text = error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
        PagesFault::Template { place, text }
    }
}

/// The files that replace ours. A page by another name would never be seen, so it is a mistake; other files are nobody's business.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, PagesFault> {
    let fault = |path: &Path| {
        let path = path.to_path_buf();
        move |error| PagesFault::Read { path, error }
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault(folder))? {
        let path = entry.map_err(fault(folder))?.path();
        if !path.extension().is_some_and(|extension| extension == "html" || extension == "css") {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !OURS.iter().any(|(ours, _)| *ours == name) {
            return Err(PagesFault::Unknown(path));
        }
        let facts = std::fs::metadata(&path).map_err(fault(&path))?;
        // To open a pipe is to wait for whoever writes to it.
        if !facts.is_file() {
            return Err(fault(&path)(std::io::Error::other("it is not a plain file")));
        }
        if facts.len() > LARGEST {
            return Err(PagesFault::Large(path));
        }
        let bytes = std::fs::read(&path).map_err(fault(&path))?;
        let text = String::from_utf8(bytes).map_err(|_| PagesFault::Encoding(path.clone()))?;
        // Browsers read line ends like this, and the policy names the style by the hash of what they read.
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
        if name == STYLE && text.contains("</") {
            return Err(PagesFault::Style(path));
        }
        files.push((name.to_owned(), text));
    }
    Ok(files)
}

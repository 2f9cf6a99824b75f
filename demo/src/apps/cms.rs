//! The Acme Gazette: articles for everybody signed in, writing for editors, `/admin/` for admins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::panel::{Frame, framed};
use super::visitor::Visitor;

#[derive(Debug)]
struct Gazette {
    articles: Mutex<Vec<Article>>,
    people: Mutex<BTreeMap<String, Person>>,
}

#[derive(Debug, Clone, Serialize)]
struct Article {
    id: usize,
    title: String,
    author: String,
    text: String,
    /// The first line, for the list.
    lead: String,
}

/// Somebody who opened this app.
#[derive(Debug, Clone, Serialize)]
struct Person {
    name: String,
    email: String,
    roles: Vec<String>,
    requests: u64,
}

#[derive(Debug, Deserialize)]
struct Draft {
    title: String,
    text: String,
}

pub(super) fn routes() -> Router {
    let gazette = Arc::new(Gazette::first_edition());
    Router::new()
        .route("/", get(home))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/articles", get(list).post(publish))
        .route("/articles/new", get(blank))
        .route("/articles/{id}", get(read).post(revise))
        .route("/articles/{id}/edit", get(edit))
        .route("/admin", get(people))
        .route("/admin/", get(people))
        .layer(middleware::from_fn_with_state(gazette.clone(), remember))
        .with_state(gazette)
}

async fn home(headers: HeaderMap) -> Response {
    framed(frame(&headers), "cms_home.html", &headers, json!({}))
}

async fn list(State(gazette): State<Arc<Gazette>>, headers: HeaderMap) -> Response {
    let articles = gazette.articles().clone();
    let values = json!({ "articles": articles, "may_edit": may_edit(&headers) });
    framed(frame(&headers), "cms_articles.html", &headers, values)
}

async fn read(State(gazette): State<Arc<Gazette>>, Path(id): Path<usize>, headers: HeaderMap) -> Response {
    let Some(article) = gazette.article(id) else {
        return not_found();
    };
    let values = json!({ "article": article, "may_edit": may_edit(&headers) });
    framed(frame(&headers), "cms_article.html", &headers, values)
}

async fn blank(headers: HeaderMap) -> Response {
    let article = json!({ "title": "", "text": "" });
    let values = json!({ "article": article, "heading": "New article", "action": "/articles" });
    for_editors(&headers, || framed(frame(&headers), "cms_edit.html", &headers, values))
}

async fn edit(State(gazette): State<Arc<Gazette>>, Path(id): Path<usize>, headers: HeaderMap) -> Response {
    let Some(article) = gazette.article(id) else {
        return not_found();
    };
    let values = json!({ "article": article, "heading": "Edit article", "action": format!("/articles/{id}") });
    for_editors(&headers, || framed(frame(&headers), "cms_edit.html", &headers, values))
}

async fn publish(State(gazette): State<Arc<Gazette>>, headers: HeaderMap, Form(draft): Form<Draft>) -> Response {
    for_editors(&headers, || {
        let author = Visitor::of(&headers).map_or_else(String::new, |visitor| visitor.name);
        let mut articles = gazette.articles();
        if articles.len() >= MOST_ARTICLES {
            return (StatusCode::INSUFFICIENT_STORAGE, "The demo keeps no more articles.\n").into_response();
        }
        let id = articles.len() + 1;
        articles.push(Article::new(id, &draft.title, &author, &draft.text));
        Redirect::to(&format!("/articles/{id}")).into_response()
    })
}

async fn revise(State(gazette): State<Arc<Gazette>>, Path(id): Path<usize>, headers: HeaderMap, Form(draft): Form<Draft>) -> Response {
    for_editors(&headers, || {
        let mut articles = gazette.articles();
        let Some(article) = articles.iter_mut().find(|article| article.id == id) else {
            return not_found();
        };
        *article = Article::new(id, &draft.title, &article.author.clone(), &draft.text);
        Redirect::to(&format!("/articles/{id}")).into_response()
    })
}

async fn people(State(gazette): State<Arc<Gazette>>, headers: HeaderMap) -> Response {
    if !has_any_role(&headers, &["admin"]) {
        return refused("admin");
    }
    let people: Vec<_> = gazette.people().values().cloned().collect();
    framed(frame(&headers), "cms_admin.html", &headers, json!({ "people": people }))
}

async fn remember(State(gazette): State<Arc<Gazette>>, request: Request, next: Next) -> Response {
    if let Some(visitor) = Visitor::of(request.headers()) {
        let mut people = gazette.people();
        if people.len() < MOST_PEOPLE || people.contains_key(&visitor.user) {
            let seen = people.get(&visitor.user).map_or(0, |person| person.requests);
            let Visitor { user, email, name, roles, .. } = visitor;
            people.insert(user, Person { name, email, roles, requests: seen + 1 });
        }
    }
    next.run(request).await
}

impl Gazette {
    fn first_edition() -> Gazette {
        let articles = FIRST_EDITION.iter().zip(1..);
        let articles = articles.map(|((title, text), id)| Article::new(id, title, "The editors", text)).collect();
        Gazette { articles: Mutex::new(articles), people: Mutex::default() }
    }

    fn articles(&self) -> MutexGuard<'_, Vec<Article>> {
        self.articles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<String, Person>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn article(&self, id: usize) -> Option<Article> {
        self.articles().iter().find(|article| article.id == id).cloned()
    }
}

impl Article {
    fn new(id: usize, title: &str, author: &str, text: &str) -> Article {
        let first_line = text.lines().next().unwrap_or_default();
        Article {
            id,
            title: title.chars().take(120).collect(),
            author: author.to_owned(),
            text: text.chars().take(5000).collect(),
            lead: first_line.chars().take(160).collect(),
        }
    }
}

/// Doorward refuses others already; an app that can read the role may as well look.
fn for_editors(headers: &HeaderMap, answer: impl FnOnce() -> Response) -> Response {
    if may_edit(headers) { answer() } else { refused("editor") }
}

fn may_edit(headers: &HeaderMap) -> bool {
    has_any_role(headers, &["editor", "admin"])
}

fn has_any_role(headers: &HeaderMap, roles: &[&str]) -> bool {
    Visitor::of(headers).is_some_and(|visitor| roles.iter().any(|role| visitor.has_role(role)))
}

fn refused(role: &str) -> Response {
    (StatusCode::FORBIDDEN, format!("This app wants the role `{role}`.\n")).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "No such article.\n").into_response()
}

fn frame(headers: &HeaderMap) -> Frame {
    let links: &[_] =
        if has_any_role(headers, &["admin"]) { &[("/articles", "Articles"), ("/admin/", "People")] } else { &[("/articles", "Articles")] };
    Frame { name: "The Acme Gazette", links, sign_in: "/articles" }
}

const MOST_ARTICLES: usize = 500;
const MOST_PEOPLE: usize = 500;

const FIRST_EDITION: [(&str, &str); 3] = [
    (
        "The canteen has a second coffee machine",
        "After a year of queues, it stands beside the first one.\nBoth want to be descaled on Fridays.",
    ),
    ("Pump house reports a quiet night", "No alarm, no restart, no visitor.\nThe dashboard has the numbers, for those who may see them."),
    (
        "One sign-on for all apps",
        "You opened this page without a password of its own.\nSo does everybody else here, and the paper never learns one.",
    ),
];

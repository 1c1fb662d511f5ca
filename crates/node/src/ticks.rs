//! What happens by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::{App, federation, publish};

/// How often logs are signed, if there is something new.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// How often cases are looked at.
const CASES: Duration = Duration::from_secs(5);
/// How often it is looked which peers are to be asked.
const PULLS: Duration = Duration::from_secs(5);
/// How often it is looked whether an advisory of a published case is still to be opened. The first time is at the start.
const CATCH_UP: Duration = Duration::from_secs(60);
/// How often it is written down how much people read who are not signed in.
const SUM_UP: Duration = Duration::from_secs(900);
/// How often what is over is forgotten.
const SWEEP: Duration = Duration::from_secs(300);
/// For how long the statuses of posts are kept, in seconds.
const STATUSES: i64 = 7 * 86_400;

/// The work beside requests; it ends when this is dropped.
pub(crate) struct Ticks(Vec<JoinHandle<()>>);

impl Drop for Ticks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Ticks {
    pub(crate) fn start(app: &App) -> Self {
        let pulls = app.config.pull_every.min(PULLS).max(Duration::from_millis(10));
        Self(vec![
            every(CASES, app, "the clocks of cases", |app| async move { publish::tick(&app).await }),
            catch_up(app),
            every(SUM_UP, app, "the audit log", |app| async move { sum_up(&app).await }),
            every(CASES, app, "embargoes that have ended", |app| async move {
                app.exchange.let_go(app.clock().now()).await.map(drop).map_err(|error| error.to_string())
            }),
            every(pulls, app, "pulling from peers", |app| async move { federation::pull_due(&app).await }),
            every(CHECKPOINT, app, "signing the logs", |app| async move { app.logs.checkpoint().await }),
            every(SWEEP, app, "forgetting what is over", |app| async move {
                sweep(&app).await.map_err(|error| error.to_string())
            }),
        ])
    }
}

/// Looks at once and then again and again for advisories of published cases that are still to be opened.
fn catch_up(app: &App) -> JoinHandle<()> {
    let app = app.clone();
    tokio::spawn(async move {
        let mut looked = BTreeMap::new();
        loop {
            if let Err(why) = publish::catch_up(&app, &mut looked).await {
                eprintln!("ostrom node: opening the advisories of published cases: {why}");
            }
            tokio::time::sleep(CATCH_UP).await;
        }
    })
}

/// Writes down how much people read who are not signed in.
pub(crate) async fn sum_up(app: &App) -> Result<(), String> {
    match app.exchange.audit() {
        Some(audit) => audit.sum_up(app.clock().now()).await.map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Does something again and again. What fails is said once until it works again.
fn every<F, W>(pause: Duration, app: &App, what: &'static str, work: W) -> JoinHandle<()>
where
    W: Fn(App) -> F + Send + 'static,
    F: Future<Output = Result<(), String>> + Send,
{
    let app = app.clone();
    tokio::spawn(async move {
        let mut failing = false;
        loop {
            tokio::time::sleep(pause).await;
            match work(app.clone()).await {
                Ok(()) => failing = false,
                Err(why) if !failing => {
                    failing = true;
                    eprintln!("ostrom node: {what}: {why}");
                }
                Err(_) => {}
            }
        }
    })
}

async fn sweep(app: &App) -> Result<(), ostrom_store::Error> {
    let now = app.clock().now();
    let mut writing = app.store.writing(now).await?;
    writing.sweep().await?;
    writing.forget_postings(now.plus_seconds(-STATUSES)).await?;
    writing.commit().await
}

//! A scripted model and bundles of its runs, for tests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ostrom_models::{
    BoxFuture, Message, Model, ModelError, ModelIdentity, Request, Response, StopReason, Usage,
};

use crate::bundle::{Bundle, finish};
use crate::defence::Defence;
use crate::plan::Settings;
use crate::run::{Ended, Run, RunPlan, Watch};
use crate::suite::Suite;
use crate::trial::Trial;

/// A model whose answers are a function of the conversation.
pub(crate) struct Scripted(pub(crate) fn(&[Message]) -> Result<String, ModelError>);

impl Model for Scripted {
    fn identity(&self) -> ModelIdentity {
        ModelIdentity::Endpoint {
            protocol: "openai".to_owned(),
            url: "http://localhost:1/v1\"><script>".to_owned(),
            model: "scripted <b>\"'".to_owned(),
        }
    }

    fn concurrency(&self) -> usize {
        3
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn generate(&self, request: Request) -> BoxFuture<'_, Result<Response, ModelError>> {
        let answer = (self.0)(&request.messages);
        Box::pin(async move {
            Ok(Response {
                text: answer?,
                tool_calls: Vec::new(),
                usage: Usage::default(),
                stop: StopReason::EndOfTurn,
                logprobs: None,
                reported_model: None,
            })
        })
    }
}

struct Nobody;

impl Watch for Nobody {
    fn trial(&self, _: &Trial) {}
}

/// Runs `suite` against a scripted model and finishes the bundle in `folder`.
pub(crate) fn bundle(folder: &Path, suite: Suite, defences: &[Defence], model: Scripted) -> Bundle {
    let mut run = run(folder, suite, defences);
    assert_eq!(play(&mut run, model, false), Ended::Complete);
    finish(&run, &ostrom_trust::SecretKey::generate().unwrap(), 0).unwrap();
    Bundle::open(folder).unwrap()
}

/// Plays what is left of a run.
pub(crate) fn play(run: &mut Run, model: Scripted, retry: bool) -> Ended {
    let (model, nobody): (Arc<dyn Model>, Arc<dyn Watch>) = (Arc::new(model), Arc::new(Nobody));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(run.play(&model, &nobody, &AtomicBool::new(false), retry)).unwrap()
}

/// A new run of `suite`.
pub(crate) fn run(folder: &Path, suite: Suite, defences: &[Defence]) -> Run {
    let plan = RunPlan {
        schema: crate::run::SCHEMA.to_owned(),
        suite: suite.digest().unwrap(),
        target: Scripted(|_| Ok(String::new())).identity(),
        reach: serde_json::Value::Null,
        settings: Settings {
            defences: defences.to_vec(),
            repeat: 1,
            seed: 7,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: 48,
        },
        started: 0,
    };
    Run::create(folder, plan, suite, &ostrom_trust::SecretKey::generate().unwrap()).unwrap()
}

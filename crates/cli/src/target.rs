//! Targets: from what the user wrote to a model that answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostrom_models::http::{Caps, HttpConfig, HttpModel, Price, Protocol, Spent};
use ostrom_models::local::{LocalModel, LocalOptions, Templates};
use ostrom_models::{Model, Secret};
use serde::{Deserialize, Serialize};

use crate::args::ReachOptions;
use crate::fail::{Failure, io};
use crate::{fetch, paths};

/// How to reach a target: what goes into configuration files and into a run's folder. No keys, only the names of
/// environment variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// local:…, openai:… or anthropic:….
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<f64>,
    /// US dollars per million tokens read and written, by model name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub prices: std::collections::BTreeMap<String, [f64; 2]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_plain_http: bool,
    /// For endpoints that reject sampling parameters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fixed_sampling: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
}

impl Reach {
    /// What the flags say wins over what is there.
    pub fn overridden(mut self, target: Option<&str>, flags: &ReachOptions) -> Result<Self, Failure> {
        fn set<T: Clone>(place: &mut Option<T>, flag: &Option<T>) {
            if flag.is_some() {
                place.clone_from(flag);
            }
        }
        set(&mut self.target, &target.map(str::to_owned));
        set(&mut self.base_url, &flags.base_url);
        set(&mut self.key_env, &flags.key_env);
        set(&mut self.concurrency, &flags.concurrency);
        set(&mut self.timeout, &flags.timeout);
        set(&mut self.max_attempts, &flags.max_attempts);
        set(&mut self.max_requests, &flags.max_requests);
        set(&mut self.max_total_tokens, &flags.max_total_tokens);
        set(&mut self.max_cost, &flags.max_cost);
        set(&mut self.threads, &flags.threads);
        set(&mut self.batch, &flags.batch);
        self.allow_plain_http |= flags.allow_plain_http;
        self.fixed_sampling |= flags.fixed_sampling;
        if let Some(price) = &flags.price {
            let parts: Vec<f64> = price.split(',').filter_map(|part| part.trim().parse().ok()).collect();
            let [input, output] = parts.as_slice() else {
                return Err(Failure::new(format!(
                    "--price {price:?}: write two numbers, as in --price 0.15,0.60"
                )));
            };
            let model = self.target.as_deref().and_then(|t| t.split_once(':')).map_or("", |(_, model)| model);
            self.prices.insert(model.to_owned(), [*input, *output]);
        }
        Ok(self)
    }

    /// Connects to, or loads, the target of a new run.
    pub async fn open(&self) -> Result<Arc<dyn Model>, Failure> {
        self.open_after(Spent::default()).await
    }

    /// The same for a run that has used something of its caps already.
    pub async fn open_after(&self, spent: Spent) -> Result<Arc<dyn Model>, Failure> {
        let target = self.target.as_deref().ok_or_else(|| {
            Failure::new("what should be tested? --target local:NAME, openai:MODEL or anthropic:MODEL")
        })?;
        match target.split_once(':') {
            Some(("local", name)) => Ok(Arc::new(self.local(name).await?)),
            Some(("openai", model)) => self.endpoint(model, Protocol::OpenAi, spent),
            Some(("anthropic", model)) => self.endpoint(model, Protocol::Anthropic, spent),
            _ => Err(Failure::new(format!(
                "--target {target:?}: write local:NAME, local:FILE.gguf, openai:MODEL or anthropic:MODEL"
            ))),
        }
    }

    /// Loads a local model.
    pub async fn local(&self, name: &str) -> Result<LocalModel, Failure> {
        let caps = [
            ("--max-requests", self.max_requests.is_some()),
            ("--max-total-tokens", self.max_total_tokens.is_some()),
            ("--max-cost", self.max_cost.is_some()),
            ("--price", !self.prices.is_empty()),
        ];
        if let Some((flag, _)) = caps.into_iter().find(|(_, given)| *given) {
            return Err(Failure::new(format!(
                "{flag} is for endpoints and would not hold for local:{name}, which costs nothing but time: leave it out"
            )));
        }
        let path = local_path(name).await?;
        let mut options = LocalOptions {
            threads: self.threads.unwrap_or(0),
            templates: templates()?,
            ..LocalOptions::default()
        };
        if let Some(batch) = self.batch {
            options.batch = batch.clamp(1, 256);
        }
        let short =
            Path::new(name).file_stem().map_or(name.to_owned(), |stem| stem.to_string_lossy().into_owned());
        let loaded = LocalModel::load(&path, &short, options);
        if let Some(reference) = fetch::reference_at(&path)? {
            // Loading has worked the digest out already. What could not be loaded is told by its digest, too.
            let digest = match &loaded {
                Ok(model) => model.digest(),
                Err(_) => ostrom_models::local::inspect(&path).ok().map(|(digest, _)| digest),
            };
            digest.map_or(Ok(()), |digest| reference.check(&path, digest))?;
        }
        Ok(loaded?)
    }

    fn endpoint(&self, model: &str, protocol: Protocol, spent: Spent) -> Result<Arc<dyn Model>, Failure> {
        let default_url = (protocol == Protocol::Anthropic).then_some("https://api.anthropic.com/v1");
        let url = self.base_url.as_deref().or(default_url).ok_or_else(|| {
            Failure::new("where is the endpoint? --base-url http://127.0.0.1:8000/v1, or your provider's")
        })?;
        let mut config = HttpConfig::new(url.parse()?, model, protocol);
        config.key = self.key_env.as_deref().map(Secret::from_env).transpose()?;
        config.allow_plain_http = self.allow_plain_http;
        config.fixed_sampling = self.fixed_sampling;
        if let Some(seconds) = self.timeout {
            config.timeout = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Failure::new(format!("--timeout {seconds}: a number of seconds")))?;
        }
        if let Some(n) = self.concurrency {
            config.concurrency = n;
        }
        if let Some(n) = self.max_attempts {
            config.max_attempts = n;
        }
        config.spent_before = spent;
        config.caps = Caps {
            max_requests: self.max_requests,
            max_tokens: self.max_total_tokens,
            max_cost_usd: self.max_cost,
        };
        config.prices = self
            .prices
            .get(model)
            .map(|&[input, output]| Price { usd_per_million_input: input, usd_per_million_output: output });
        if self.max_cost.is_some() && config.prices.is_none() {
            return Err(Failure::new(format!(
                "--max-cost needs the price of {model}: --price IN,OUT, or [reach.prices] in the config"
            )));
        }
        Ok(Arc::new(HttpModel::new(config)?))
    }
}

/// Chat templates of files that strangers made: rendered by this program, in another process.
fn templates() -> Result<Templates, Failure> {
    // The link names the program that runs, even after an update has put another one at its path.
    let running = PathBuf::from("/proc/self/exe");
    let program = if running.exists() {
        running
    } else {
        std::env::current_exe().map_err(io("the program's own path"))?
    };
    Ok(Templates::Child { program, arguments: vec![crate::args::RENDER_TEMPLATES.into()] })
}

/// The file of a local model: a path, a model in the cache, or a reference model that is fetched now.
pub async fn local_path(name: &str) -> Result<PathBuf, Failure> {
    let path = PathBuf::from(name);
    if path.extension().is_some_and(|extension| extension == "gguf") && path.is_file() {
        return Ok(path);
    }
    let plain =
        name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) && !name.starts_with('.');
    let cached = paths::models()?.join(format!("{name}.gguf"));
    if plain && cached.is_file() {
        return Ok(cached);
    }
    if fetch::reference(name).is_some() {
        return fetch::pull(name).await;
    }
    Err(Failure::new(format!(
        "there is no model {name:?}: it is no GGUF file, not in `ostrom model list`, and no reference model ({})",
        fetch::reference_names()
    )))
}

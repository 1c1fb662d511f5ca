//! With `rmcp` as the client, in both eras and over both transports.

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction, Implementation, ProtocolVersion,
};
use rmcp::service::{RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData, RoleClient, ServiceExt as _,
};

use super::*;

/// A client whose person says yes to everything.
#[derive(Clone)]
struct Agent;

impl ClientHandler for Agent {
    fn get_info(&self) -> ClientConfig {
        let capabilities = serde_json::from_value::<ClientCapabilities>(json!({"elicitation": {}})).unwrap();
        ClientConfig::new(capabilities, Implementation::new("agent", "1"))
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        assert!(
            matches!(request, ElicitRequestParams::FormElicitationParams { message, .. } if message == "who?")
        );
        Ok(serde_json::from_value(json!({"action": ElicitationAction::Accept, "content": {"answer": "me"}}))
            .unwrap())
    }
}

type Client = RunningService<RoleClient, Agent>;

fn modern_mode() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

fn transport(served: &Served) -> StreamableHttpClientTransport<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let config = StreamableHttpClientTransportConfig::with_uri(format!("http://{}/mcp", served.address));
    StreamableHttpClientTransport::with_client(client, config)
}

fn pipe(fake: &Arc<Fake>) -> tokio::io::DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(theirs);
    let settings =
        crate::front::stdio::Settings { log: quiet(), ..crate::front::stdio::Settings::new("user") };
    tokio::spawn(crate::front::stdio::serve(Arc::clone(fake), input, output, settings));
    ours
}

async fn works(client: Client, fake: &Fake, revision: &str) {
    let tools = client.list_tools(None).await.unwrap();
    assert_eq!(tools.tools[0].name, "echo");
    let say = |result: rmcp::model::CallToolResult| {
        serde_json::to_value(result).unwrap()["content"][0]["text"].clone()
    };
    let arguments = map(json!({"region": "eu"}));
    let called = client.call_tool(CallToolRequestParams::new("echo").with_arguments(arguments)).await;
    // A client that has listed the tools mirrors arguments as the schema says; this schema says nothing, the handler does.
    match called {
        Ok(result) => assert_eq!(say(result), "{\"region\":\"eu\"}"),
        Err(error) => assert!(error.to_string().contains("mcp-param-region"), "{error}"),
    }
    assert_eq!(say(client.call_tool(CallToolRequestParams::new("progress")).await.unwrap()), "progressed");
    let asked = client.call_tool(CallToolRequestParams::new("ask")).await.unwrap();
    assert!(say(asked).as_str().unwrap().contains("\"answer\":\"me\""));
    assert!(client.call_tool(CallToolRequestParams::new("none")).await.is_err());
    assert!(fake.callers.lock().unwrap().iter().all(|caller| caller.revision.name() == revision));
    client.cancel().await.unwrap();
}

#[tokio::test]
async fn a_legacy_client_over_http() {
    let served = served().await;
    let client = Agent.serve(transport(&served)).await.unwrap();
    works(client, &served.fake, "2025-11-25").await;
}

#[tokio::test]
async fn a_stateless_client_over_http() {
    let served = served().await;
    let client = Agent.serve_with_lifecycle(transport(&served), modern_mode()).await.unwrap();
    works(client, &served.fake, "2026-07-28").await;
}

#[tokio::test]
async fn a_legacy_client_over_stdio() {
    let fake = Arc::new(Fake::default());
    let client = Agent.serve(pipe(&fake)).await.unwrap();
    works(client, &fake, "2025-11-25").await;
}

#[tokio::test]
async fn a_stateless_client_over_stdio() {
    let fake = Arc::new(Fake::default());
    let client = Agent.serve_with_lifecycle(pipe(&fake), modern_mode()).await.unwrap();
    works(client, &fake, "2026-07-28").await;
}

#[tokio::test]
async fn a_client_that_tries_both_stays_with_the_newest() {
    let fake = Arc::new(Fake::default());
    let mode = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    };
    let client = Agent.serve_with_lifecycle(pipe(&fake), mode).await.unwrap();
    works(client, &fake, "2026-07-28").await;
}

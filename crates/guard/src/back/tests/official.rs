//! The official library as the server, over Streamable HTTP in both eras.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ElicitRequest,
    ElicitRequestParams, InputRequest, InputRequests, InputRequiredResult, ProgressNotificationParam,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler};

use super::*;
use crate::back::Auth;
use crate::wire::Revision;

#[derive(Clone)]
struct Peer;

impl ServerHandler for Peer {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "ask" && request.request_state.is_none() {
            let form = ElicitRequestParams::FormElicitationParams {
                meta: None,
                message: "Who?".to_owned(),
                requested_schema: serde_json::from_value(json!({"type": "object", "properties": {}}))
                    .unwrap(),
            };
            let mut requests = InputRequests::new();
            requests.insert("who".to_owned(), InputRequest::Elicitation(ElicitRequest::new(form)));
            return Ok(InputRequiredResult::new(Some(requests), Some("state".to_owned())).into());
        }
        if let Some(token) = context.meta.get_progress_token() {
            context.peer.notify_progress(ProgressNotificationParam::new(token, 50.0)).await.unwrap();
        }
        let answers = serde_json::to_string(&request.input_responses).unwrap();
        Ok(CallToolResult::success(vec![ContentBlock::text(answers)]).into())
    }
}

async fn start(era: Era) -> Server {
    let service: StreamableHttpService<Peer, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Peer), Arc::default(), StreamableHttpServerConfig::default());
    let app = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Server::start("rmcp", Connection::Http { url, auth: Auth::None, ca: None }, fixed(era)).await.unwrap()
}

#[tokio::test]
async fn it_is_called_in_both_eras() {
    for (era, revision) in [(Era::Detect, Revision::V2026_07_28), (Era::Legacy, Revision::V2025_11_25)] {
        let server = start(era).await;
        assert_eq!(server.info().revision, revision);
        let (relay, from) = Relay::new();
        let seen = client(from, json!({}));
        let params = map(json!({"name": "x", "_meta": {"progressToken": "mine"}}));
        let result =
            server.request(&Map::new(), "tools/call", params, relay, later()).await.unwrap().unwrap();
        assert_eq!(result["content"][0]["text"], "null");
        assert_eq!(result["resultType"], "complete");
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(seen.lock().unwrap()[0].1["progressToken"], "mine");
        assert_eq!(server.misdeeds(), crate::back::Misdeeds::default());
        server.stop().await;
    }
}

#[tokio::test]
async fn its_questions_are_asked() {
    let server = start(Era::Modern).await;
    let (relay, from) = Relay::new();
    let seen = client(from, json!({"action": "accept", "content": {"name": "Ada"}}));
    let able = map(json!({"elicitation": {}}));
    let result = server
        .request(&able, "tools/call", map(json!({"name": "ask"})), relay, later())
        .await
        .unwrap()
        .unwrap();
    assert!(result["content"][0]["text"].as_str().unwrap().contains("Ada"));
    assert_eq!(seen.lock().unwrap()[0].0, "elicitation/create");
}

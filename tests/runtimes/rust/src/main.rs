//! Does what an event's "do" says: the behaviours of ../../cases.ts in Rust.

use lambda_runtime::streaming::{channel, Body, Response};
use lambda_runtime::{service_fn, tracing, Diagnostic, Error, FunctionResponse, LambdaEvent};
use serde_json::{json, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

#[derive(Debug)]
struct Refused(&'static str);

impl From<Refused> for Diagnostic {
    fn from(refused: Refused) -> Diagnostic {
        Diagnostic { error_type: "Refused".into(), error_message: refused.0.into() }
    }
}

type Answer = FunctionResponse<Value, Body>;

static COUNT: AtomicU64 = AtomicU64::new(0);

async fn handle(event: LambdaEvent<Value>) -> Result<Answer, Refused> {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let (payload, context) = event.into_parts();
    let text = payload["text"].as_str().unwrap_or_default();
    let action = payload["do"].as_str().unwrap_or_default();
    let answer = match action {
        "echo" => payload["value"].clone(),
        "nothing" => Value::Null,
        "count" => json!(count),
        "length" => json!(text.len()),
        "big" => json!("x".repeat(payload["size"].as_u64().unwrap_or_default() as usize)),
        "context" => context_values(&context),
        "error" => return Err(Refused("told to fail")),
        "panic" => panic!("told to panic"),
        "crash" => std::process::abort(),
        "exit" => std::process::exit(payload["code"].as_i64().unwrap_or_default() as i32),
        "hang" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Value::Null
        }
        "log" => {
            println!("{text} to stdout");
            eprintln!("{text} to stderr");
            tracing::debug!("{text} at debug");
            tracing::info!("{text} at info");
            tracing::error!("{text} at error");
            json!("logged")
        }
        "stream" | "stream-error" => return Ok(FunctionResponse::StreamingResponse(stream(payload))),
        _ => return Err(Refused("no such action")),
    };
    Ok(FunctionResponse::BufferedResponse(answer))
}

fn stream(payload: Value) -> Response<Body> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        let pause = Duration::from_millis(payload["pauseMs"].as_u64().unwrap_or_default());
        for _ in 0..payload["repeat"].as_u64().unwrap_or(1) {
            for chunk in payload["chunks"].as_array().into_iter().flatten() {
                let chunk = chunk.as_str().unwrap_or_default().to_owned();
                if sender.send_data(chunk.into()).await.is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        }
    });
    Response { metadata_prelude: Default::default(), stream: body }
}

fn context_values(context: &lambda_runtime::Context) -> Value {
    let remaining = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    let client = context.client_context.as_ref();
    json!({
        "requestId": context.request_id,
        "remainingMs": remaining.as_millis() as u64,
        "functionArn": context.invoked_function_arn,
        "functionName": context.env_config.function_name,
        "functionVersion": context.env_config.version,
        "memoryMiB": context.env_config.memory,
        "logGroup": context.env_config.log_group,
        "logStream": context.env_config.log_stream,
        "appTitle": client.map(|client| client.client.app_title.clone()),
        "colour": client.and_then(|client| client.custom.get("colour")),
        "traceId": context.xray_trace_id,
        "environment": std::env::vars().collect::<std::collections::HashMap<_, _>>(),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    match std::env::var("INIT").as_deref() {
        Ok("error") => return Err("told to fail at init".into()),
        Ok("exit") => std::process::exit(3),
        _ => {}
    }
    lambda_runtime::run(service_fn(handle)).await
}

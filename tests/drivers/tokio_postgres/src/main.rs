// Rust, tokio-postgres.
mod encryption;

use std::{env, io, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt};
use serde_json::{json, Value};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Error};

use encryption::Encryption;

const COPY_OUT: &str = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000000)) TO STDOUT";
const COPY_IN: &str = "COPY copied FROM STDIN";

struct Session {
    client: Client,
    // What moves the bytes: its end is the end of the session.
    connection: JoinHandle<()>,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn say(answer: Value) {
    println!("{answer}");
}

fn next_command() -> Option<String> {
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(size) if size > 0 => Some(line.trim().to_string()),
        _ => None,
    }
}

// The program stands still between two commands, and its session does not.
fn pause() {
    say(json!({"ok": true}));
    tokio::task::block_in_place(next_command);
}

async fn connect() -> Result<Session, Error> {
    let mut config = Config::new();
    config
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse().expect("a port"))
        .user(&variable("PGUSER"))
        .password(variable("PGPASSWORD"))
        .dbname(&variable("PGDATABASE"))
        .application_name(&variable("PGAPPNAME"))
        .ssl_mode(if variable("PGSSLMODE") == "require" { SslMode::Require } else { SslMode::Disable });
    let (client, connection) = config.connect(Encryption).await?;
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Session { client, connection })
}

async fn copy_out(client: &Client) -> Result<(), Error> {
    let stream = client.copy_out(COPY_OUT).await?;
    futures_util::pin_mut!(stream);
    stream.try_next().await?;
    pause();
    while stream.try_next().await?.is_some() {}
    Ok(())
}

async fn copy_in(client: &Client) -> Result<(), Error> {
    let sink = client.copy_in(COPY_IN).await?;
    futures_util::pin_mut!(sink);
    sink.send(Bytes::from_static(b"a line\n")).await?;
    pause();
    sink.finish().await.map(|_| ())
}

async fn carry_out(command: &str, session: &mut Option<Session>) -> Result<bool, Error> {
    if command == "connect" {
        *session = None;
        *session = Some(connect().await?);
        return Ok(true);
    }
    let client = &session.as_ref().expect("a session").client;
    match command {
        "begin" => client.batch_execute("BEGIN").await?,
        "query" => client.batch_execute("SELECT 1").await?,
        "hold" => client.batch_execute("SELECT pg_sleep(3600)").await?,
        "copy_out" => copy_out(client).await?,
        "copy_in" => copy_in(client).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

// The connection ends right behind its error; the client hears of that a moment later.
async fn is_broken(session: &mut Option<Session>) -> bool {
    match session {
        None => true,
        Some(session) => {
            let _ = tokio::time::timeout(Duration::from_secs(10), &mut session.connection).await;
            session.client.is_closed()
        }
    }
}

async fn report(error: Error, session: &mut Option<Session>) -> Value {
    let class = if error.as_db_error().is_some() {
        "DbError"
    } else if error.is_closed() {
        "Error (closed)"
    } else {
        "Error"
    };
    let mut answer = json!({"ok": false, "class": class, "message": error.to_string(), "broken": is_broken(session).await});
    if let Some(database) = error.as_db_error() {
        answer["sqlstate"] = json!(database.code().code());
        answer["message"] = json!(database.message());
        answer["detail"] = json!(database.detail().unwrap_or_default());
        answer["hint"] = json!(database.hint().unwrap_or_default());
    }
    answer
}

fn main() -> io::Result<()> {
    let runtime = Runtime::new()?;
    let mut session = None;
    while let Some(command) = next_command() {
        if command == "version" {
            say(json!({"ok": true, "version": format!("tokio-postgres {}", variable("DRIVER_VERSION"))}));
            continue;
        }
        say(runtime.block_on(async {
            match carry_out(&command, &mut session).await {
                Ok(true) => json!({"ok": true}),
                Ok(false) => json!({"unsupported": true}),
                Err(error) => report(error, &mut session).await,
            }
        }));
    }
    Ok(())
}

//! How long it takes from starting the program to the first answer that came through it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use super::edge::{self, PUBLIC};
use super::{Bar, Bench, Fault, Figure, Row};
use crate::meter;
use crate::peers::process::spawn;
use crate::stand::HOST;
use crate::statistics::Spread;
use crate::system::{Load, Running, Transport};

/// More would be no start.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(bench.stand.folder.join("tls.crt"))?)?;
    let client = Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let mut times = Vec::new();
    for _ in 0..bench.rounds {
        times.push(once(bench, &client)?.as_secs_f64() * 1000.0);
    }
    let spread = Spread::of(times).ok_or("nothing was started")?;
    let note = format!("from starting the program to 200 from the app over TLS; {:.0} to {:.0} ms", spread.min, spread.max);
    Ok(vec![Figure { name: "start_to_first_answer", value: spread.median, unit: "ms", bar: Some(Bar::AtMost(100.0)), note }])
}

fn once(bench: &Bench<'_>, client: &Arc<rustls::ClientConfig>) -> Result<Duration, Fault> {
    let written = edge::write(bench, &[])?;
    let (log, command) = (written.configuration.with_extension("log"), edge::command(&written)?);
    let began = Instant::now();
    let process = spawn(command, &log)?;
    let load = Load::usual(written.places.listen, Transport::Tls, PUBLIC);
    let running = Running { processes: vec![process], log, load, refused: None };
    meter::pin(&crate::bench::pids(&running), bench.cores.all())?;
    loop {
        match TcpStream::connect(running.load.address) {
            Ok(socket) => {
                ask(socket, client)?;
                return Ok(began.elapsed());
            }
            Err(fault) if fault.kind() == ErrorKind::ConnectionRefused && began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_micros(500));
            }
            Err(fault) => return Err(fault.into()),
        }
    }
}

fn ask(mut socket: TcpStream, client: &Arc<rustls::ClientConfig>) -> Result<(), Fault> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut tls = rustls::ClientConnection::new(client.clone(), ServerName::try_from(HOST)?)?;
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(format!("GET {PUBLIC} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())?;
    let mut status = [0; 13];
    stream.read_exact(&mut status)?;
    if &status == b"HTTP/1.1 200 " { Ok(()) } else { Err(format!("the first answer is `{}`", String::from_utf8_lossy(&status)).into()) }
}

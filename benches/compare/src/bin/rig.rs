//! Holds a tenant open for measuring by hand: `rig FOLDER BASE_PORT [CORES]` writes configuration, tokens and cookie there.

use std::path::PathBuf;

use doorward_compare::stand::{Fault, Places, Stand};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Fault> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let arguments: Vec<String> = std::env::args().collect();
    let folder = PathBuf::from(&arguments[1]);
    let base: u16 = arguments[2].parse()?;
    let at = |offset: u16| ([127, 0, 0, 1], base + offset).into();
    let stand = Stand::new(&folder).await?;
    let places = Places { listen: at(0), hooks: at(1), admin: at(2), app: at(3) };
    let cores = arguments.get(3).map_or(Ok(1), |cores| cores.parse())?;
    let configuration = stand.doorward(&places, cores)?;
    stand.write("bearer", &stand.bearer(0))?;
    stand.write("cookie", &stand.session(&configuration, doorward_proxy::clock::now())?)?;
    println!("ready");
    tokio::time::sleep(std::time::Duration::from_secs(4 * 3600)).await;
    Ok(())
}

//! Finds libdpdk, compiles the shim and generates the bindings.
//!
//! Everything is listed by name. A pattern such as `rte_.*` would pull in types that are packed
//! and aligned at once, which Rust cannot express, and thread-local `per_lcore_*` variables,
//! which bindgen would turn into plain (and crashing) statics.

use std::{env, path::PathBuf, process::Command};

const FUNCTIONS: &[&str] = &[
    "rte_eal_init",
    "rte_eal_hotplug_add",
    "rte_eal_hotplug_remove",
    "rte_thread_register",
    "rte_thread_unregister",
    "rte_strerror",
    "rte_version",
    "rte_get_tsc_hz",
    "rte_pktmbuf_pool_create",
    "rte_pktmbuf_free_bulk",
    "rte_mempool_free",
    "rte_mempool_avail_count",
    "rte_mempool_mem_iter",
    "rte_ring_create",
    "rte_ring_free",
    "rte_eth_from_rings",
    "rte_eth_dev_get_port_by_name",
    "rte_eth_dev_get_name_by_port",
    "rte_eth_dev_info_get",
    "rte_eth_dev_configure",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_socket_id",
    "rte_eth_rx_queue_setup",
    "rte_eth_tx_queue_setup",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_dev_close",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_get_mtu",
    "rte_eth_promiscuous_enable",
    "rte_eth_macaddr_get",
    "rte_eth_stats_get",
    "shim_.*",
];

const TYPES: &[&str] = &[
    "rte_mbuf",
    "rte_mempool",
    "rte_mempool_memhdr",
    "rte_ring",
    "rte_eth_conf",
    "rte_eth_dev_info",
    "rte_eth_stats",
    "rte_ether_addr",
    "shim_.*",
];

const VALUES: &[&str] = &[
    "SHIM_.*",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_EAL_PMD_PATH",
    "RTE_ETH_NAME_MAX_LEN",
    "RTE_MAX_LCORE",
    "RTE_MEMPOOL_CACHE_MAX_SIZE",
];

/// Types used behind a pointer only. `rte_mbuf` gained anonymous unions in DPDK 24.03, so its
/// fields are reached by the offsets in `shim.h` instead, which are right for every release.
const OPAQUE: &[&str] = &["rte_mbuf", "rte_mempool", "rte_ring", "rte_device", "rte_eth_link"];

/// What is linked when pkg-config offers it; `rte_log` exists from DPDK 23.11 on.
const LIBRARIES: &[&str] = &[
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
    "rte_eal",
    "rte_log",
    "rte_telemetry",
    "rte_kvargs",
];

const MEND: &str = "run: apt-get install libdpdk-dev libclang-dev pkg-config \
                    (or build without DPDK: cargo build --no-default-features)";

fn main() {
    for file in ["build.rs", "shim/shim.c", "shim/shim.h"] {
        println!("cargo:rerun-if-changed={file}");
    }
    if let Err(reason) = build() {
        // One clear line instead of a panic and its backtrace.
        eprintln!("error: dpdk-sys: {reason}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let library = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|error| match error {
            pkg_config::Error::Command { .. } => format!("pkg-config does not run; {MEND}"),
            _ => format!("DPDK 22.11 or newer (libdpdk.pc) was not found; {MEND}"),
        })?;
    let cflags = cflags()?;

    let mut shim = cc::Build::new();
    shim.file("shim/shim.c").include("shim").warnings(true);
    for flag in &cflags {
        shim.flag(flag);
    }
    shim.try_compile("dpdk_shim").map_err(|error| format!("the C shim: {error}"))?;

    // After the shim: it needs the libraries that follow it on the linker's line.
    for path in &library.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    // A driver, so no library of the .pc file, but rte_eth_from_rings lives in it.
    println!("cargo:rustc-link-lib=dylib=rte_net_ring");
    for name in LIBRARIES.iter().filter(|name| library.libs.iter().any(|lib| lib == *name)) {
        println!("cargo:rustc-link-lib=dylib={name}");
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?);
    let bindings = bindings(&cflags)?;
    bindings.write_to_file(out.join("bindings.rs")).map_err(|error| error.to_string())
}

/// Every flag of the .pc file, `-include rte_config.h` and `-march` too: the inline functions of
/// the headers do not compile without them, and pkg-config's Rust crate drops them.
fn cflags() -> Result<Vec<String>, String> {
    let tool = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&tool)
        .args(["--cflags", "libdpdk"])
        .output()
        .map_err(|error| format!("{tool} --cflags libdpdk: {error}; {MEND}"))?;
    let flags = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

fn bindings(cflags: &[String]) -> Result<bindgen::Bindings, String> {
    let mut builder = bindgen::Builder::default()
        .header("shim/shim.h")
        .clang_args(cflags)
        .layout_tests(false)
        .generate_comments(false)
        .derive_debug(false)
        .prepend_enum_name(false)
        .rust_target(bindgen::RustTarget::stable(82, 0).map_err(|error| error.to_string())?);
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in VALUES {
        builder = builder.allowlist_var(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    // libclang is loaded at run time and bindgen panics when it is missing; say what to do.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.generate()))
        .map_err(|_| format!("libclang was not found; {MEND}"))?
        .map_err(|error| format!("bindgen: {error}"))
}

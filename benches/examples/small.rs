use std::time::Instant;
use stickler_benches::worlds::small_world;
fn main() {
    let balancer = std::env::args().nth(1).unwrap();
    for _ in 0..20 {
        std::hint::black_box(small_world(&balancer));
    }
    let cpu = || {
        let mut t = libc_time();
        t.sort();
        t[0]
    };
    let _ = cpu;
    let start = Instant::now();
    let c0 = thread_cpu();
    let mut n = 0u32;
    while start.elapsed().as_secs_f64() < 3.0 {
        std::hint::black_box(small_world(&balancer));
        n += 1;
    }
    println!("{balancer} {:.0}", f64::from(n) / (thread_cpu() - c0));
}
fn libc_time() -> Vec<u8> {
    vec![0]
}
fn thread_cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

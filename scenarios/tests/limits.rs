//! A script cannot exhaust the machine: its steps, depth and memory are bounded, and the error names the place.

mod double;

use stickler_model::BalancerSpec;
use stickler_scenarios::limits::Metered;
use stickler_scenarios::{Scenario, run};

#[global_allocator]
static ALLOCATOR: Metered<std::alloc::System> = Metered(std::alloc::System);

fn error(source: &str) -> String {
    let scenario = Scenario::new("test", "test.star", source).unwrap();
    run(&scenario, &BalancerSpec::named("l4-nat"), 7, &double::arm())
        .error()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn an_endless_loop_ends_with_its_place() {
    insta::assert_snapshot!(error("curl('alice')\nfor i in range(1 << 30):\n    pass\n"));
    insta::assert_snapshot!(error("x = [1 for i in range(1 << 15) for j in range(1 << 15) if False]\n"));
}

#[test]
fn a_script_that_is_stopped_for_its_memory_keeps_what_was_seen_and_printed() {
    for last in ["y = [0] * (1 << 28)", "for i in range(100):\n    print('x' * (1 << 20))"] {
        let source = format!("a = curl('alice')\nprint(a.get('/').expect(status = 404).status)\n{last}\n");
        let scenario = Scenario::new("test", "test.star", &source).unwrap();
        let run = run(&scenario, &BalancerSpec::named("l4-nat"), 7, &double::arm());
        assert!(run.error().unwrap().message.starts_with("out of memory"), "{:?}", run.error());
        assert_eq!((run.printed[0].as_str(), run.failures.len()), ("200", 1));
        assert_eq!(run.trace.unwrap().actions().count(), 3);
    }
}

#[test]
fn endless_recursion_ends_with_its_place() {
    insta::assert_snapshot!(error("def f(n):\n    return f(n + 1)\nf(0)\n"));
}

#[test]
fn a_list_of_a_quarter_of_a_billion_elements_is_never_made() {
    insta::assert_snapshot!(error("curl('alice')\nx = 3\ny = [0] * (1 << 28)\n"));
}

#[test]
fn every_way_to_ask_for_much_memory_ends_with_its_place() {
    for source in [
        "x = list(range(1 << 28))",
        "x = 'a' * (1 << 30)",
        "x = [0] * (1 << 20) * (1 << 10)",
        "x = (1,) * (1 << 28)",
        "x = sorted(range(1 << 28))",
        "x = list(reversed(range(1 << 28)))",
        "x = list(enumerate(range(1 << 28)))",
        "x = {}\nfor i in range(1 << 22):\n    x[i] = [i] * 1000",
        "x = 'ab'\nfor i in range(100):\n    x = x + x",
        "x = [1]\nfor i in range(100):\n    x = x + x",
        "x = [1]\nfor i in range(100):\n    x.extend(x)",
        "x = []\nfor i in range(1 << 22):\n    x.append([i] * 1000)",
        "x = ','.join(['abcdefgh' * 1000] * 100000)",
        "x = ('%s' * 1000) % tuple(['a' * 100000] * 1000)",
        "x = repr(['a' * 100000] * 10000)",
        "x = ('a' * 100000).replace('a', 'b' * 100000)",
        "def f():\n    x = ['a' * 1000 + str(i) for i in range(1 << 28)]\nf()",
    ] {
        let said = error(source);
        let line = source.lines().count();
        assert!(
            said.starts_with(&format!("test.star:{}:", if source.starts_with("def") { 2 } else { line })),
            "{source}\n{said}"
        );
        assert!(said.contains("out of memory: a script may hold 64 MiB"), "{source}\n{said}");
    }
}

#[test]
fn what_the_interpreter_panics_at_is_an_error_with_its_place() {
    for source in [
        "x = list(range(1 << 30))",
        "x = [0] * (1 << 30)",
        "x = 'a' * 2147483647",
        "x = [0, 1] * 2147483647",
        "x = tuple(range(1 << 30))",
    ] {
        let said = error(source);
        let told = said.contains("cannot carry out this statement") || said.contains("out of memory");
        assert!(said.starts_with("test.star:1:1: ") && told, "{source}\n{said}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_errors_and_not_panics() {
    for source in [
        "x = [0] * (1 << 62)",
        "x = 'a' * (1 << 62)",
        "x = [0] * (1 << 100)",
        "x = 1 << (1 << 40)",
        "x = range(1 << 70)",
        "bytes_of(1 << 70)",
        "bytes_of(1 << 40)",
        "advance(float('nan'))",
        "advance(float('inf'))",
        "advance(1e300)",
        "site(backends = 1 << 40)",
        "x = (1 << 60000) * 'a'",
    ] {
        let said = error(source);
        assert!(said.starts_with("test.star:1:") && !said.contains("the world failed"), "{source}\n{said}");
    }
}

#[test]
fn a_script_nested_as_deep_as_may_be_is_an_error_or_runs() {
    // The values are just below and far beyond the limit up to which a script reaches the interpreter.
    for times in [3_990, 30_000] {
        for (before, repeated, after) in [
            ("x = ", "(", "1"),
            ("x = ", "[", ""),
            ("x = ", "-", "1"),
            ("x = ", "not ", "1"),
            ("x = 1", "+1", ""),
            ("x = a", ".a", ""),
            ("x = f", "()", ""),
            ("x = ", "lambda: ", "1"),
            ("x = ", "1 if 1 else ", "1"),
            ("x = 1", " and 1", ""),
            ("if 1:\n pass\n", "elif 1:\n pass\n", ""),
            ("", "f(", ""),
        ] {
            let times = times.min((stickler_scenarios::scenario::MAX_SOURCE as usize - 40) / (repeated.len() + 1));
            let closing = match repeated {
                "(" => ")",
                "[" => "]",
                _ => "",
            };
            let source = format!("{before}{}{after}{}\n", repeated.repeat(times), closing.repeat(times));
            let said = error(&source);
            assert!(said.starts_with("test.star:"), "{repeated} x {times}\n{said}");
        }
    }
}

#[test]
fn values_nested_deeply_are_shown_without_a_stack_overflow() {
    let said = error("x = []\nfor i in range(100000):\n    x = [x]\ny = str(x)\nz = x == [x]\n");
    assert!(said.starts_with("test.star:"), "{said}");
}

#[test]
fn what_is_printed_is_bounded() {
    insta::assert_snapshot!(error("for i in range(20000):\n    print(i)\n"));
}

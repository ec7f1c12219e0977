//! `StandardInput`, `StandardError`, `File`, and what a program says of its end: what programs ask of the machine that they run on.
//!
//! Nothing here touches the machine: each primitive notes a [`Request`], which the world of the program answers. A turn has no
//! such world, for it must do the same when it is run again; there each is `ProgramOnly`.

use crate::drive::Question;
use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::turn::Mode;
use crate::value::Value;
use crate::vm::Vm;
use crate::world::Request;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("StandardInput class.readLine", read_line),
    ("StandardInput class.readRest", read_rest),
    ("StandardError class.showText:", show_error),
    ("File.readPath:", read_file),
    ("File.writePath:text:", write_file),
    ("File.appendPath:text:", append_file),
    ("File.kindPath:", kind),
    ("File.deletePath:", delete),
    ("File.listPath:", list),
    ("Program class.setExitCode:", exit_code),
];

/// Notes a request; its answer is the answer of the send.
fn ask(vm: &mut Vm, request: Request) -> Result<Value, Stop> {
    if vm.run.turn.mode != Mode::Program {
        let what = match request {
            Request::ReadLine | Request::ReadRest => "reads standard input",
            Request::ShowError(_) => "writes to standard error",
            Request::ReadFile(_) | Request::FileKind(_) | Request::ListFolder(_) => "reads files",
            Request::WriteFile { .. } | Request::AppendFile { .. } | Request::DeleteFile(_) => "changes files",
            Request::SetExitCode(_) => "has an exit code",
        };
        let text = format!(
            "only a program {what}, not a twin's turn, which must do the same when it is run again: \
             do it in the program, and send the twin what it needs"
        );
        return Err(vm.raise(ExceptionKind::ProgramOnly, text));
    }
    vm.run.question = Some(Question::Machine(request));
    Err(Stop::Ask)
}

fn text(vm: &mut Vm, window: Window, index: usize, what: &str) -> Result<String, Stop> {
    let argument = window.argument(vm, index);
    match vm.as_text(argument) {
        Some(text) => Ok(text.to_owned()),
        None => {
            let text = format!("{what} is a string, but this is of {}", vm.class_name(argument));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn path(vm: &mut Vm, window: Window) -> Result<String, Stop> {
    text(vm, window, 0, "the path of a file")
}

fn read_line(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    ask(vm, Request::ReadLine)
}

fn read_rest(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    ask(vm, Request::ReadRest)
}

fn show_error(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let shown = text(vm, window, 0, "what is shown")?;
    ask(vm, Request::ShowError(shown))
}

fn read_file(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    ask(vm, Request::ReadFile(path))
}

fn write_file(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    let text = text(vm, window, 1, "what is written")?;
    ask(vm, Request::WriteFile { path, text })
}

fn append_file(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    let text = text(vm, window, 1, "what is written")?;
    ask(vm, Request::AppendFile { path, text })
}

fn kind(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    ask(vm, Request::FileKind(path))
}

fn delete(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    ask(vm, Request::DeleteFile(path))
}

fn list(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = path(vm, window)?;
    ask(vm, Request::ListFolder(path))
}

fn exit_code(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    match window.argument(vm, 0).as_integer().and_then(|code| u8::try_from(code).ok()) {
        Some(code) => ask(vm, Request::SetExitCode(code)),
        None => Err(vm.raise(ExceptionKind::ArgumentError, "an exit code is an integer from 0 to 255")),
    }
}

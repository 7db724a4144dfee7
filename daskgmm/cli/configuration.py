"""Where options come from: the command line, the environment, a file, Dask's configuration, or their defaults.

Click has all but the files: it asks the environment for DASKGMM_ and the names of command and option, and takes from
`default_map` what is given nowhere else. Files and Dask's namespace `daskgmm` are checked here before they go there.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

__all__ = ["WAYS", "NamedOption", "config_options", "print_configuration"]

Command = TypeVar("Command", bound=Callable[..., Any])
PLACE = "daskgmm.config"
"""Where click's context keeps which file each value of `default_map` came from."""
DASK = "dask.config"
NOT_IN_FILES = {"config", "print_config"}
SECRET = {"storage_options"}
"""Parameters whose values are not shown."""
WAYS = ("scheduler", "scheduler_file", "n_workers")
"""To find a cluster: a file that names one replaces what Dask's configuration names."""


def config_options(command: Command) -> Command:
    """Add `--config` and `--print-config`."""
    command = click.option(
        "--print-config", is_flag=True, help="Print the value of each option and where it came from; do nothing else."
    )(command)
    return click.option(
        "--config",
        metavar="FILE",
        # Before the options whose defaults it sets.
        is_eager=True,
        expose_value=False,
        callback=_configure,
        help="YAML or TOML file with options, and a section for each command.",
    )(command)


def print_configuration() -> None:
    """Print the options of the command that is running, with their sources; as JSON if that is asked for."""
    context = click.get_current_context()
    rows = {}
    for key, parameter in _keys(context.command).items():
        name = str(parameter.name)
        value = context.params.get(name)
        shown = "(hidden)" if name in SECRET and value is not None else value
        rows[key] = {"value": shown, "source": _source(context, name, parameter)}
    if context.params.get("as_json"):
        click.echo(json.dumps(rows))
        return
    width = max(map(len, rows))
    values = {key: json.dumps(row["value"]) for key, row in rows.items()}
    most = max(map(len, values.values()))
    for key, row in rows.items():
        click.echo(f"{key:<{width}}  {values[key]:<{most}}  {row['source']}")


def _source(context: click.Context, name: str, parameter: click.Parameter) -> str:
    """Return in words where a value came from."""
    source = context.get_parameter_source(name)
    if source is ParameterSource.COMMANDLINE:
        return "command line"
    if source is ParameterSource.ENVIRONMENT:
        return _variable(context, parameter)
    if source is ParameterSource.DEFAULT_MAP:
        return str(context.meta[PLACE].get(name, DASK))
    return "default"


def _configure(context: click.Context, option: click.Parameter, file: str | None) -> None:
    """Set the defaults of a command from a file and from Dask's configuration, and check the environment."""
    if context.resilient_parsing:  # a shell completes what is being typed
        return
    _check_environment(context)
    values, sources = _from_dask(context)
    if file is not None:
        from_file, its_sources = _settings_in(_content(file), file, context)
        if any(way in from_file for way in WAYS):
            values = {name: value for name, value in values.items() if name not in WAYS}
        values, sources = {**values, **from_file}, {**sources, **its_sources}
    context.default_map = values
    context.meta[PLACE] = sources


def _from_dask(context: click.Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what Dask's configuration sets in its namespace `daskgmm`, and the scheduler that Dask would use."""
    from daskgmm.engine.dask_config import dask_setting

    values, sources = _settings_in(dask_setting("daskgmm"), f"{DASK} daskgmm", context)
    address = dask_setting("scheduler-address")
    if address is not None and not any(way in values for way in WAYS):
        name = "DASK_SCHEDULER_ADDRESS"
        values["scheduler"], sources["scheduler"] = address, name if name in os.environ else f"{DASK} scheduler-address"
    return values, sources


def _content(file: str) -> object:
    """Return what is in a YAML or TOML file; raises UsageError if it cannot be read."""
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--config {file}: expected a YAML or TOML file; it cannot be read: {error}") from None
    suffix = Path(file).suffix.lower()
    try:
        if suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        if suffix in (".yaml", ".yml"):
            return _from_yaml(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--config {file}: expected valid {suffix[1:].upper()}; {error}") from None
    raise click.UsageError(f"--config {file}: expected a file that ends in .yaml, .yml or .toml")


def _from_yaml(text: str) -> object:
    """Return what a YAML text says; raises ValueError if it is none, or names an option twice, as TOML does."""
    import yaml

    try:
        top = yaml.compose(text, Loader=yaml.SafeLoader)
        sections = [value for _, value in top.value] if isinstance(top, yaml.MappingNode) else []
        for mapping in (one for one in (top, *sections) if isinstance(one, yaml.MappingNode)):
            keys = [str(key.value) for key, _ in mapping.value]
            twice = [key for number, key in enumerate(keys) if key in keys[:number]]
            if twice:
                raise ValueError(f"{twice[0]!r} stands there twice")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _settings_in(content: object, where: str, context: click.Context) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that a configuration has for this command, by parameter, and where each stands.

    Options outside a section are for every command that has them; those in the section of a command go before them.
    """
    if content is None:  # nothing is set, or a file is empty
        return {}, {}
    if not isinstance(content, Mapping):
        raise click.UsageError(f"{where}: expected options with their values; got {_kind(content)}")
    here = _keys(context.command)
    commands = _commands(context)
    everywhere = {key for command in commands.values() for key in _keys(command)}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    sections = {str(key): section for key, section in content.items() if key in commands}
    plain = {key: value for key, value in content.items() if key not in commands}
    known = everywhere | set(commands)
    _take(plain, where, here=here, known=known, context=context, values=values, sources=sources)
    for name, section in sections.items():
        place = f"{where}, {name}"
        if not isinstance(section, Mapping):
            raise click.UsageError(f"{place}: expected options with their values; got {_kind(section)}")
        known = set(_keys(commands[name]))
        if name == context.command.name:
            _take(section, place, here=here, known=known, context=context, values=values, sources=sources)
        else:
            for _ in _checked_keys(section, place, known):
                pass
    return values, sources


def _commands(context: click.Context) -> Mapping[str, click.Command]:
    """Return the commands that a file may have sections for: this one and those beside it."""
    group = None if context.parent is None else context.parent.command
    beside = group.commands if isinstance(group, click.Group) else {}
    return {**beside, str(context.command.name): context.command}


def _take(
    content: Mapping[Any, Any],
    where: str,
    *,
    here: Mapping[str, click.Parameter],
    known: Collection[str],
    context: click.Context,
    values: dict[str, Any],
    sources: dict[str, str],
) -> None:
    """Check options and add those that this command has."""
    for key, value in _checked_keys(content, where, known):
        parameter = here.get(key)
        if parameter is not None and value is not None:
            name = str(parameter.name)
            values[name], sources[name] = _checked(parameter, value, f"{where}: {key}", context), where


def _checked_keys(content: Mapping[Any, Any], where: str, known: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield keys and values; raises UsageError for a key that no option has, with the nearest that one has."""
    seen: set[str] = set()
    for key, value in content.items():
        name = str(key).replace("_", "-")
        if name not in known:
            raise click.UsageError(f"{where}: there is no option {str(key)!r}{_nearest(name, known)}")
        if name in seen:
            raise click.UsageError(f"{where}: expected {name!r} once; got two spellings of it")
        seen.add(name)
        yield name, value


def _nearest(name: str, known: Collection[str]) -> str:
    """Return a clause that names what may have been meant."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(sorted(known))}"


def _checked(parameter: click.Parameter, value: Any, where: str, context: click.Context) -> Any:
    """Return a value as its option would have it from a shell; raises UsageError if it is of another kind."""
    kind = parameter.type
    if isinstance(kind, click.Choice) and value is False and "off" in kind.choices:
        return "off"  # to YAML, the word is false
    if isinstance(kind, click.types.BoolParamType):
        expected, fits = "true or false", isinstance(value, bool)
    elif isinstance(kind, click.types.IntParamType):
        expected, fits = "an integer", isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(kind, click.types.FloatParamType):
        # To YAML, 1e-4 is text.
        expected, fits = "a number", isinstance(value, int | float | str) and not isinstance(value, bool)
    elif kind.name == "json":
        expected, fits = "a mapping or a JSON object", isinstance(value, Mapping | str)
    else:
        expected, fits = "text", isinstance(value, int | float | str) and not isinstance(value, bool)
        value = str(value) if fits else value
    if not fits:
        raise click.UsageError(f"{where}: expected {expected}; got {_kind(value)}")
    try:
        parameter.type_cast_value(context, value)
    except click.BadParameter as error:
        raise click.UsageError(f"{where}: {error.message}") from None
    return value


def _kind(value: object) -> str:
    """Return what a value is, without its text, which may be a secret."""
    names = {
        dict: "a mapping",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "an integer",
        float: "a number",
    }
    return names.get(type(value), "nothing" if value is None else type(value).__name__)


def _keys(command: click.Command) -> dict[str, click.Parameter]:
    """Return the parameters that a file can set, by their names there: long options, and arguments in lower case."""
    keys = {}
    for parameter in command.params:
        if parameter.name not in NOT_IN_FILES:
            keys[_key(parameter)] = parameter
    return keys


def _key(parameter: click.Parameter) -> str:
    """Return how a parameter is called everywhere but in Python."""
    long = [option.removeprefix("--") for option in parameter.opts if option.startswith("--")]
    return long[0] if long else str(parameter.name)


def _variable(context: click.Context, parameter: click.Parameter) -> str:
    """Return the variable of the environment that sets a parameter."""
    return f"{context.auto_envvar_prefix}_{_key(parameter).replace('-', '_').upper()}"


class NamedOption(click.Option):
    """An option whose variable has its own name, where that of the parameter is another one, as --json's is."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return what the environment sets; nothing where it has no names for options."""
        return None if ctx.auto_envvar_prefix is None else os.environ.get(_variable(ctx, self)) or None


def _check_environment(context: click.Context) -> None:
    """Raise UsageError for a variable of this command that no option of it has: a slip that would go unnoticed."""
    prefix = context.auto_envvar_prefix
    if prefix is None:
        return
    known = {
        _variable(context, parameter) for parameter in context.command.params if isinstance(parameter, click.Option)
    }
    for name in sorted(os.environ):
        if name.startswith(f"{prefix}_") and name not in known:
            raise click.UsageError(f"environment: there is no variable {name!r}{_nearest(name, known)}")

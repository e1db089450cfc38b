"""The code location as a whole: what Dagster shows agrees with the contracts."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.job import JOB, build_defs
from assets.publication import Step, asset_key, check_id, step_asset
from crm_hygiene.config import Config, LandingConfig, ScheduleConfig, SourcesConfig
from crm_hygiene.contract import contract_of, load_contracts
from expectations.suite import named_checks

OWN_SOURCE = """
source: shop_customers
system: shop
object: Customer
files: ["shop/*customer*"]
tables:
  people:
    record_id: Number
    person_kind: {constant: contact}
    email: [Mail, "Second mail"]
"""

# Assets that are files, not tables.
FILES = {"catalog.duckdb", "charts.linkage", "report.html"}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    base = tmp_path_factory.mktemp("base")
    (base / "mine").mkdir()
    (base / "mine" / "shop.yaml").write_text(OWN_SOURCE, encoding="utf-8")
    return Config(base=base, sources=SourcesConfig(folders=(Path("mine"),)))


@pytest.fixture(scope="module")
def definitions(config: Config) -> dg.Definitions:
    return build_defs(config)


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {".".join(spec.key.path): spec for spec in definitions.resolve_all_asset_specs()}


def test_definitions_load_with_a_users_own_source(
    definitions: dg.Definitions, specs: dict[str, dg.AssetSpec]
) -> None:
    dg.Definitions.validate_loadable(definitions)
    assert "landing.shop_customers" in specs
    upstream = {dep.asset_key for dep in specs["conformed.people"].deps}
    assert asset_key("landing.shop_customers") in upstream


def test_every_contract_is_an_asset_and_every_asset_has_a_contract(specs: dict[str, dg.AssetSpec]) -> None:
    derived = {name for name in specs if name.startswith("landing.") and name != "landing.files"}
    assert set(specs) - derived - FILES == set(load_contracts())


def test_every_asset_tells_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    for name, spec in specs.items():
        assert spec.group_name == name.split(".")[0], name
        assert spec.owners, name
        assert spec.description, name
        assert spec.kinds, name
        assert spec.tags["layer"] == spec.group_name, name
        if name not in FILES:
            assert spec.metadata["dagster/column_schema"].columns, name


def test_schemas_are_those_of_the_contracts(specs: dict[str, dg.AssetSpec]) -> None:
    for name, contract in load_contracts().items():
        shown = [c.name for c in specs[name].metadata["dagster/column_schema"].columns]
        assert shown == contract.column_names


def test_every_check_of_a_published_table_is_an_asset_check(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    declared = {(".".join(key.asset_key.path), key.name) for key in graph.asset_check_keys}
    # Tables that steps or stewards append to are no step's output, so no gate runs on them as a table.
    appended = {"landing.files", "audit.runs"}
    appended |= {f"stewardship.{name}" for name in ("decisions", "cash_decisions", "pins")}
    appended |= {f"writeback.{name}" for name in ("outbox", "deliveries", "approvals")}
    for name, contract in load_contracts().items():
        if name in appended or contract.layer == "quality":
            continue
        ids = [check_id(check) for check in named_checks(contract)]
        assert len(set(ids)) == len(ids), name
        assert {(name, i) for i in ids} <= declared
    for name in ("landing.salesforce_leads", "landing.shop_customers"):
        assert (name, "every_file_readable") in declared
    assert ("landing.files", "every_file_claimed") in declared


def test_what_stops_a_table_blocks_what_comes_after(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    contract = contract_of("golden.contacts")
    for name, check in named_checks(contract).items():
        key = dg.AssetCheckKey(asset_key("golden.contacts"), check_id(name))
        assert graph.get_check_spec(key).blocking == (check.severity == "critical")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("column_values_to_be_between(amount)", "amount__must_be_between"),
        ("column_values_to_not_be_null(entity_id) #2", "entity_id__must_not_be_null_2"),
        ("column_value_lengths_to_be_between(name)", "name__value_lengths_must_be_between"),
        ("compound_columns_to_be_unique(source,record_id)", "source_record_id__must_be_unique"),
        ("table_row_count_to_be_between(table)", "table__row_count_must_be_between"),
    ],
)
def test_checks_are_named_column_first(name: str, expected: str) -> None:
    assert check_id(name) == expected


def test_lineage_names_columns_that_exist(specs: dict[str, dg.AssetSpec]) -> None:
    columns = {
        name: {c.name for c in spec.metadata["dagster/column_schema"].columns}
        for name, spec in specs.items()
        if name not in FILES
    }
    seen = set()
    for name, spec in specs.items():
        lineage = spec.metadata.get("dagster/column_lineage")
        for column, origins in lineage.deps_by_column.items() if lineage else ():
            assert column in columns[name]
            for origin in origins:
                table = ".".join(origin.asset_key.path)
                assert origin.column_name in columns[table], f"{name}.{column} <- {table}"
                assert origin.asset_key in {dep.asset_key for dep in spec.deps}, f"{name} <- {table}"
                seen.add(name)
    assert {"conformed.people", "conformed.payments", "golden.contacts", "linked.person_members"} <= seen


def test_a_conformed_column_leads_to_the_vendors_columns(specs: dict[str, dg.AssetSpec]) -> None:
    lineage = specs["conformed.people"].metadata["dagster/column_lineage"].deps_by_column["email"]
    mine = {(d.asset_key.path[-1], d.column_name) for d in lineage}
    assert {("shop_customers", "Mail"), ("shop_customers", "Second_mail")} <= mine
    told = specs["conformed.people"].metadata["column lineage"].value
    assert "shop" in told
    assert "Second" in told


def test_the_graph_draws_only_what_a_step_reads(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    people = graph.get(asset_key("linked.person_members")).parent_keys
    assert people == {asset_key("conformed.people"), asset_key("stewardship.decisions")}
    # A multi-asset's tables may read less than its step, never something else.
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if node.is_materializable and key.path[0] in ("linked", "golden", "signals"):
            step = {
                parent for other in node.execution_set_asset_keys for parent in graph.get(other).parent_keys
            }
            assert node.parent_keys <= step


def test_the_job_runs_everything_that_can_be_made(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    job = definitions.resolve_job_def(JOB)
    assert set(job.asset_layer.executable_asset_keys) == set(graph.materializable_asset_keys)
    assert graph.get(dg.AssetKey(["catalog", "duckdb"])).child_keys == set()


def test_results_go_stale(specs: dict[str, dg.AssetSpec]) -> None:
    for name in ("golden.contacts", "reconciled.invoices", "writeback.changes"):
        assert specs[name].freshness_policy is not None


def test_no_step_is_tried_again_when_it_was_interrupted(definitions: dg.Definitions) -> None:
    for node in definitions.resolve_job_def(JOB).graph.node_defs:
        assert node.retry_policy is None, node.name  # Dagster's does; `assets.retries` does not


def test_schedule_and_sensors_follow_hygiene_yaml(tmp_path: Path) -> None:
    own = Config(
        base=tmp_path,
        landing=LandingConfig(folder=Path("in")),
        schedule=ScheduleConfig(cron="30 1 * * 1-5", timezone="Europe/Berlin"),
    )
    definitions = build_defs(own)
    schedule = definitions.resolve_schedule_def("every_night")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 1 * * 1-5", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    for name in ("stopped_night", "terminated_night"):
        assert definitions.resolve_sensor_def(name).default_status == dg.DefaultSensorStatus.RUNNING
    assert definitions.resolve_sensor_def("landing_folder").default_status == dg.DefaultSensorStatus.STOPPED


def test_a_step_of_ones_own_declares_its_gates() -> None:
    step = Step(
        name="mine",
        tables=("golden.leads",),
        reads=("conformed.people", "conformed.organisations"),
        compute=lambda night: {},
        made_from={"golden.leads": ("conformed.people",)},
    )
    made = step_asset(step)
    assert made.asset_deps[asset_key("golden.leads")] == {asset_key("conformed.people")}
    assert {key.name for key in made.check_keys} == {
        check_id(name) for name in named_checks(contract_of("golden.leads"))
    }

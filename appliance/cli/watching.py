"""What `detect` and `replay` share: judge batches, write findings as they come, tell the incidents, draw the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.commands import Command, OpenIncident, TellFinding
from appliance.pipeline import State, finish, step
from appliance.report.records import SummaryRecord, dumps, finding_record, incident_record, summary_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from appliance.cli.output import Output
    from appliance.decode.columns import DecodedBatch
    from appliance.detect.finding import Finding
    from appliance.explain.workplan import Plan
    from appliance.host.sensor.words import WordsWorker
    from appliance.incident.incident import Incident
    from appliance.learn.meaning.model import Model
    from appliance.protocols import Words
    from appliance.report.numbering import Numbering
    from appliance.report.traffic import Traffic


class Watch:
    """One run of detection.

    lines    True: JSON lines, findings as they come; False: the story at the end
    report   where the page goes, None for no page
    plans    work plans
    """

    def __init__(
        self,
        model: Model,
        numbering: Numbering,
        out: Output,
        lines: bool,
        lang: str,
        report: str | None,
        plans: Sequence[Plan] = (),
    ) -> None:
        self.model, self.numbering, self.out = model, numbering, out
        self.lines, self.lang, self.report = lines, lang, report
        self.plans = plans
        self.state = State.start(model)
        self.findings = 0
        self._traffic: Traffic | None = None
        self._words: WordsWorker | None = None
        if report is not None:
            from appliance.report.traffic import Traffic

            self._traffic = Traffic(self.state.detector.table)

    def judge(self, batch: DecodedBatch) -> None:
        """Detect in a batch and write what is found."""
        self.state, commands = step(self.state, batch)
        self._carry_out(commands)
        if self._traffic is not None:
            self._traffic.add(batch)

    def close(self, title: str) -> int:
        """The input has ended: tell the incidents, write the page; 1 where there are incidents, else 0."""
        self.state, commands = finish(self.state)
        self._carry_out(commands)
        state = self.state
        incidents = self._told(list(state.grouping.incidents.values()))
        seconds = max(0, state.last - state.first) * 1e-9
        summary = summary_record(state.detector.frames, self.findings, len(incidents), seconds, state.detector.damaged)
        if self.lines:
            self.out.lines(dumps(incident_record(incident)) for incident in incidents)
            self.out.line(dumps(summary))
        else:
            from appliance.report.text import story

            self.out.lines(story(incidents, summary, self.lang, self.out.color, self.numbering))
        self.out.flush()
        if self.report is not None:  # last: a full disk must not cost the story
            self._draw(self.report, title, incidents, summary)
        return 1 if incidents else 0

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case TellFinding(finding, incident):
                    self.findings += finding.count
                    if self.lines:
                        self.out.line(dumps(finding_record(finding, incident, self.numbering)))
                case OpenIncident():  # a bulletin is for those who watch live; offline the last revision is told
                    self._prepare()
        self.out.flush()

    def _prepare(self) -> WordsWorker:
        """The process that gives words, which only incidents need: it loads while the rest is judged."""
        if self._words is None:
            from appliance.host.sensor.words import WordsWorker

            self._words = WordsWorker()
            self._words.begin()
        return self._words

    def _told(self, incidents: list[Incident]) -> list[Incident]:
        if not incidents:
            return []
        from appliance.explain.site import site_of
        from appliance.host.models import cause_model
        from appliance.incident.telling import told

        model, site = cause_model(), site_of(self.model.baseline)
        with self._prepare() as worker:

            def speak(finding: Finding) -> Words | None:
                return worker.words(finding.payload, finding.src == finding.client, finding.ranges)

            return [told(incident, speak, self.lang, self.plans, model, site) for incident in incidents]

    def _draw(self, target: str, title: str, incidents: list[Incident], summary: SummaryRecord) -> None:
        from appliance.host.oui import LOCAL, vendor
        from appliance.host.writing import write_whole
        from appliance.report.page import PageData, page

        if self._traffic is None:
            raise AssertionError("a report without counted traffic")
        baseline = self.model.baseline
        data = PageData(
            title=title,
            # a page has little room: that there is no maker is said by saying nothing
            assets=self._traffic.assets(baseline, lambda mac: None if (maker := vendor(mac)) == LOCAL else maker),
            conversations=self._traffic.conversations(baseline),
            buckets=self._traffic.times.buckets(),
            incidents=tuple(incidents),
            summary=summary,
            lang=self.lang,
            numbering=self.numbering,
        )
        write_whole(target, page(data).encode("utf-8", "replace"))


def plans_of(paths: Sequence[str]) -> list[Plan]:
    """The work plans named on the command line. Raises DocumentError."""
    if not paths:
        return []
    from appliance.host.plans import load_plans  # reads YAML, which only plans need

    return load_plans(paths)

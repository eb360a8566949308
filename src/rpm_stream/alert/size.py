"""What open alerts give up where a patient's state would grow too large.

``pipeline/state_budget.py`` decides when. No alert, no priority and no state is given up, and never
the rule that decided the priority (law 3). Words go first: those of rules that the alert does not
show, and steps of the history that added a rule and changed nothing else.

Which other steps stay never depends on escalations, because a tick may add those earlier or later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from rpm_stream.alert.episode import Episode, Member
from rpm_stream.records import RANK, Transition
from rpm_stream.text import SERVICE

SHORT = 60  # bytes of a text that no one is shown
SHORTEST = 24  # the same, where one of each is kept
LONG = 160  # bytes of each text where only few are kept
FEW = 6
# Steps in the history of an alert. A busy alert that a person has seen has under 20.
MOST_STEPS = 80
KEPT_STEPS = 40
MOST_ESCALATIONS = 40  # steps; each time that an alert waits adds three at most
# With this number or fewer no value of a member is kept. Its next finding brings the current one.
FEWEST = 2


def lighten(episodes: Iterable[Episode], most: int) -> None:
    """Keep the ``most`` weightiest members of each episode, and as many lines, steps and readings.

    NEWS2 and one limit of each side of a vital stay, however small ``most`` is. The alert must wait
    for their recovery, and all limits of a side recover together. A decision about a record whose
    moment was dropped is measured against the limits themselves. Where few are kept, people's steps
    are dropped too, the oldest first, and long texts are cut. The opening step, the opening reading
    and the step since which the alert waits always stay. Where one is kept, only the newest step
    has words.
    """
    for episode in episodes:
        _merge(episode.members, most)
        _cut_unseen(episode)
        del episode.moments[: max(0, len(episode.moments) - max(2, most // 5))]
        steps = _life(episode.alert.history, most, lambda _: True)
        if most <= FEW:
            _cut_members(episode)
            if most <= FEWEST:
                _forget_values(episode, most)
            words = SHORT if most <= FEWEST else LONG
            steps = tuple(
                msgspec.structs.replace(step, reason=_cut(step.reason, words)) for step in steps
            )
        if most <= 1:
            earlier = (msgspec.structs.replace(step, reason="") for step in steps[:-1])
            steps = (*earlier, steps[-1])
        alert = episode.alert
        episode.alert = msgspec.structs.replace(
            alert,
            title=_cut(alert.title, LONG),
            why=tuple(_cut(line, LONG) if most <= FEW else line for line in alert.why[:most]),
            evidence=(*alert.evidence[:1], *alert.evidence[1:][-most:]),
            now=alert.now if most > FEWEST else alert.now[:most],
            history=steps,
        )


def shorten_history(episode: Episode) -> None:
    """Keep the newest steps of the service in an alert that no person sees for weeks.

    Each record holds all steps, so the history must not grow without bound.
    """
    history = episode.alert.history
    if len(history) <= min(MOST_STEPS, MOST_ESCALATIONS):
        return
    steps = _steps(history)
    gone = set(_escalations(history)[:-MOST_ESCALATIONS])
    if len(steps) > MOST_STEPS:
        gone.update([place for place in steps if history[place].who == SERVICE][:-KEPT_STEPS])
    if gone:
        episode.alert = msgspec.structs.replace(episode.alert, history=_without(history, gone))


def forget_escalations(episode: Episode) -> None:
    """Drop the escalations from the history. Their number stays in the alert."""
    history = episode.alert.history
    if gone := _escalations(history):
        episode.alert = msgspec.structs.replace(episode.alert, history=_without(history, gone))


def lighten_service(episode: Episode, most: int) -> None:
    """Keep the ``most`` newest steps of the service in an episode.

    All members stay, and so do people's steps.
    """
    _cut_unseen(episode)
    steps = _life(episode.alert.history, most, lambda step: step.who == SERVICE)
    episode.alert = msgspec.structs.replace(episode.alert, history=steps)


def lighten_people(episode: Episode, most: int) -> None:
    """Keep the ``most`` newest steps of people and cut their words, where few are kept.

    All else stays.
    """
    if most > FEW:
        return
    steps = (
        step
        if step.who == SERVICE
        else msgspec.structs.replace(step, reason=_cut(step.reason, LONG))
        for step in _life(episode.alert.history, most, lambda step: step.who != SERVICE)
    )
    episode.alert = msgspec.structs.replace(episode.alert, history=tuple(steps))


def without_people(episode: Episode) -> Episode:
    """The episode without the steps of people."""
    steps = tuple(step for step in episode.alert.history if step.who == SERVICE)
    return msgspec.structs.replace(
        episode, alert=msgspec.structs.replace(episode.alert, history=steps)
    )


def _cut_unseen(episode: Episode) -> None:
    shown = "\n".join(episode.alert.why)
    for member in episode.members.values():
        if member.why not in shown:
            member.why = _cut(member.why, SHORT)


def _cut_members(episode: Episode) -> None:
    for member in episode.members.values():
        member.why = _cut(member.why, LONG)
        member.rule = _cut(member.rule, LONG)
        if member.newest is not None:
            member.newest.why = _cut(member.newest.why, LONG)
    if episode.first is not None:
        episode.first.why = _cut(episode.first.why, LONG)


def _forget_values(episode: Episode, most: int) -> None:
    shown = frozenset(episode.alert.evidence)
    for member in episode.members.values():
        member.newest = member.worst = None
        member.evidence = tuple(reading for reading in member.evidence[:1] if reading in shown)
        member.why = _cut(member.why, SHORT if most > 1 else SHORTEST)
        if most <= 1:
            member.told = ""
    episode.told = None
    episode.first = None
    del episode.moments[:-1]


def _merge(members: dict[str, Member], most: int) -> None:
    """Drop the members that weigh least until ``most`` are left.

    A member whose recovery decides when the alert ends always stays.
    """
    if len(members) <= most:
        return
    ordered = sorted(members, key=lambda name: (*_weight(members[name]), name))
    limits = {
        (members[name].vital, members[name].direction): name
        for name in ordered
        if members[name].kind == "limit"
    }
    decisive = frozenset(limits.values())
    spare = [name for name in ordered if name not in decisive and members[name].kind != "news2"]
    for name in spare[: len(members) - most]:
        del members[name]


def _weight(member: Member) -> tuple[int, float]:
    return RANK[member.priority], member.measured_at.timestamp()


def _life(
    history: tuple[Transition, ...], most: int, may_go: Callable[[Transition], bool]
) -> tuple[Transition, ...]:
    """The history without the steps that ``may_go``, except the ``most`` newest of these.

    Where more than a few are kept, the steps of people stay, and so do the steps that changed the
    state or the priority.

    The opening step always stays. So does the step with which the present state and priority began,
    and the step before it, because the alert waits and escalates from there.
    """
    gone = [place for place in _steps(history) if may_go(history[place])][:-most]
    if most > FEW:
        gone = [
            place
            for place in gone
            if history[place].who == SERVICE and not _changes(history, place)
        ]
    return _without(history, gone)


def _without(history: tuple[Transition, ...], gone: Collection[int]) -> tuple[Transition, ...]:
    """The history without the steps at the places ``gone``, but for those that always stay."""
    steps = _steps(history)
    began = _began(history)
    before = steps[max(0, steps.index(began) - 1)]
    left = set(range(len(history))).difference(gone) | {0, before, began}
    return tuple(history[place] for place in sorted(left))


def _steps(history: tuple[Transition, ...]) -> list[int]:
    """The places of all steps but escalations."""
    return [place for place, step in enumerate(history) if step.event != "escalated"]


def _escalations(history: tuple[Transition, ...]) -> list[int]:
    return [place for place, step in enumerate(history) if step.event == "escalated"]


def _began(history: tuple[Transition, ...]) -> int:
    """The place of the step with which the present state and priority began."""
    return next(place for place in reversed(range(len(history))) if _changes(history, place))


def _changes(history: tuple[Transition, ...], place: int) -> bool:
    """Whether the step changed the state or the priority, or made the alert over or return.

    The first step counts as a change.
    """
    before = history[place - 1]
    step = history[place]
    # from such a step on the alert waits in another way, or its escalation starts again
    is_of_both = step.event in ("over", "returned")
    return (
        place == 0 or is_of_both or (step.state, step.priority) != (before.state, before.priority)
    )


def _cut(text: str, limit: int) -> str:
    if len(text) * 4 <= limit or len(text.encode()) <= limit:
        return text
    return f"{text.encode()[: limit - 3].decode(errors='ignore')}…"

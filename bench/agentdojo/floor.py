"""The rows beside ours, from the same run: no defence, ask before every write, deny after taint.

Played on the same worlds by the same agent, without the machine; `ask every write` puts each call
that changes something to the user, `deny after taint` refuses those after the first result that
holds text of others.
"""

from bench.agentdojo import world
from bench.agentdojo.oracle import Agent, consequential

CLEAN = frozenset({"get_current_day", "get_iban", "get_balance", "get_user_info"})


def allowed(defence: str, who: str, step, case, tainted: bool) -> tuple[bool, int]:
    """Whether a call is made, and how many questions it took."""
    if defence == "none" or not consequential(step.function):
        return True, 0
    if defence == "deny after taint":
        return not tainted, 0
    yes = who == "yes" or (who == "attentive" and any(
        c.function == step.function and dict(step.args) == dict(c.args) for c in case.calls
    ))  # fmt: skip
    return yes, 1


def floor(names: list[str], limit: int):
    """One row a defence, user and case."""
    kinds = [("none", "attentive"), ("deny after taint", "attentive")]
    kinds += [("ask every write", who) for who in ("attentive", "yes", "absent")]
    for defence, who in kinds:
        for attacks in (False, True):
            for suite, task, injection in world.cases(names, attacks, limit):
                yield played(defence, who, world.case(suite, task, injection))


def played(defence: str, who: str, case) -> dict:
    agent, cards, tainted, silent = Agent(case, case.suite), 0, False, []
    while agent.todo:
        step = agent.todo.pop(0)
        agent.flying = [step]
        yes, asked = allowed(defence, who, step, case, tainted)
        cards += asked
        if not yes:
            continue
        result, error = case.run(step.function, step.args)
        if error:
            continue
        if step.evil and consequential(step.function) and not asked:
            silent.append(step.function)
        tainted = tainted or step.function not in CLEAN
        agent.done(step.function, result)
    useful, lost = case.verdicts(case.task.GROUND_TRUTH_OUTPUT)
    return {
        "defence": defence, "who": who, "suite": case.suite, "user": case.user,
        "injection": case.injection, "speaks": case.speaks_only, "useful": useful, "lost": lost,
        "cards": cards, "silent": silent, "hijacked": agent.hijacked,
    }  # fmt: skip

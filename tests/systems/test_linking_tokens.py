"""The experimental token transformer: its texts, padding that stays finite, tokens that name the right tracksters."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from hitloom.config import build
from hitloom.data.trackster_features import NODE_FEATURES
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.registry import get_system
from hitloom.systems.linking.token_text import EOS, NUM_SPECIAL, PAD, SOS, Text, tell
from hitloom.systems.linking.tokens import LinkingTokens, TokenConfig, sinusoids, smoothed_entropy
from hitloom.training.run_config import load_recipe
from trackster_toy import toy_trackster_event


def make(**settings) -> LinkingTokens:
    torch.manual_seed(0)
    small = {"width": 16, "num_layers": 2, "feed_forward": 16, "dropout": 0.0}
    return LinkingTokens(build(TokenConfig, small | settings)).eval()


def two_components() -> Event:
    """Tracksters 0..4 in a chain, 5 and 6 a pair, 7 alone; energies fall but for 3, the heaviest."""
    x = torch.zeros(8, 29)
    x[:, NODE_FEATURES.index("barycenter_eta")] = torch.linspace(1.6, 2.8, 8)
    x[:, NODE_FEATURES.index("raw_energy")] = torch.tensor([50.0, 40, 30, 60, 10, 9, 8, 7])
    return Event(
        pos=torch.zeros(8, 3), x=x, feature_names=list(NODE_FEATURES), event_id=0,
        edge_index=torch.tensor([[0, 1, 2, 3, 5], [1, 2, 3, 4, 6]]),
        object_index=torch.tensor([0, 1, 0, 1, -1, 2, 2, 2]), object_id=torch.arange(3),
    )  # fmt: skip


def test_every_component_is_told_group_by_group():
    event = two_components()
    text = tell(event, event.edge_index, max_tokens=60)
    # first component by falling energy: 3, 0, 1, 2, 4 = places 0..4; groups {3, 1}, {0, 2}, {4}; then {5, 6}
    assert text.nodes.tolist() == [[3, 0, 1, 2, 4]] * 3 + [[5, 6, -1, -1, -1]]
    own = NUM_SPECIAL
    assert text.tokens.tolist() == [
        [SOS, own, own + 2],
        [SOS, own + 1, own + 3],
        [SOS, own + 4, PAD],
        [SOS, own, own + 1],
    ]
    assert text.following.tolist() == [[PAD, own + 2, EOS], [PAD, own + 3, EOS], [PAD, EOS, PAD], [PAD, own + 1, EOS]]
    assert text.taken.tolist() == [
        [False, False, False, False, False], [True, False, True, False, False], [True, True, True, True, False],
        [False, False, True, True, True],
    ]  # fmt: skip


def test_long_groups_are_cut_and_their_end_is_not_learned():
    event = two_components()
    text = tell(event, event.edge_index, max_tokens=2)
    assert text.tokens.shape[1] == 2
    assert text.following[0].tolist() == [PAD, PAD]
    assert text.following[2].tolist() == [PAD, EOS]


@pytest.mark.parametrize("targets", ["next", "group"])
def test_padding_stays_finite_and_changes_nothing(targets: str):  # defect 17
    system, event = make(targets=targets), two_components()
    scores = system(event)
    text = tell(event, event.edge_index, max_tokens=60)
    logit = system.logits(scores.embedding, text)
    assert not bool(torch.isnan(logit).any())
    alone = Text(
        nodes=text.nodes[3:, :2], taken=text.taken[3:, :2], tokens=text.tokens[3:], following=text.following[3:]
    )
    own = system.logits(scores.embedding, alone)
    torch.testing.assert_close(logit[3:, :, : own.shape[2]], own, atol=1e-5, rtol=1e-5)
    assert bool((logit[3, :, own.shape[2] :] < -1e29).all())
    loss = system.train().loss(scores, event).total
    loss.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in system.parameters())


def test_a_token_names_the_trackster_of_its_place():  # defect 16: the offset of the four special tokens
    """A decoder that always says the token after the last one must join neighbours in the order of energy."""
    system, event = make(), two_components()

    def scripted(embedding: torch.Tensor, text: Text) -> torch.Tensor:
        logit = torch.full((1, text.tokens.shape[1], NUM_SPECIAL + text.nodes.shape[1]), -1.0)
        last = int(text.tokens[0, -1])
        chosen = last + 1 if (last - NUM_SPECIAL) % 2 == 0 and last + 1 < logit.shape[2] else EOS
        logit[0, -1, chosen] = 1.0
        return logit

    system.logits = scripted
    result = system.reconstruct(system(event), event)
    # places 0, 1 | 2, 3 | 4 of the first component are the tracksters 3, 0 | 1, 2 | 4
    groups = {tuple((result.labels == label).nonzero()[:, 0].tolist()) for label in result.labels.unique()}
    assert groups == {(0, 3), (1, 2), (4,), (5, 6), (7,)}


def test_what_was_named_is_not_offered_again():
    system, event = make(), two_components()
    text = tell(event, event.edge_index, max_tokens=60)
    logit = system.logits(system(event).embedding, text)
    for group in range(len(text.tokens)):
        named = set(text.taken[group].nonzero()[:, 0].tolist())
        for place in range(text.tokens.shape[1]):
            token = int(text.tokens[group, place])
            named |= {token - NUM_SPECIAL} if token >= NUM_SPECIAL else set()
            barred = (logit[group, place, NUM_SPECIAL:] < -1e29).nonzero()[:, 0].tolist()
            assert set(barred) == named
            assert bool((logit[group, place, [PAD, SOS, 3]] < -1e29).all())


def test_the_future_is_not_seen():
    system, event = make(), two_components()
    text = tell(event, event.edge_index, max_tokens=60)
    embedding = system(event).embedding
    whole = system.logits(embedding, text)
    short = Text(nodes=text.nodes, taken=text.taken, tokens=text.tokens[:, :2], following=text.following[:, :2])
    torch.testing.assert_close(whole[:, :2], system.logits(embedding, short), atol=1e-5, rtol=1e-5)


def test_smoothing_equals_torchs_where_all_can_follow():
    logit, chosen = torch.randn(9, 5), torch.randint(5, (9,))
    peer = torch.nn.functional.cross_entropy(logit, chosen, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(smoothed_entropy(logit, chosen, 0.1), peer)


def test_positions_are_sinusoids():
    table = sinusoids(5, 6)
    for place in range(5):
        for pair in range(3):
            angle = torch.tensor(place / 10000 ** (2 * pair / 6))
            torch.testing.assert_close(table[place, 2 * pair : 2 * pair + 2], torch.stack([angle.sin(), angle.cos()]))


def test_a_batch_has_the_loss_of_all_its_texts():
    system, events = make(), [toy_trackster_event(1), toy_trackster_event(2)]
    parts = [system.loss(system(e), e) for e in events]
    together = system.loss(system(batch := Batch.from_data_list(events)), batch)
    wanted = sum(p.total * p.counts["text"] for p in parts) / sum(p.counts["text"] for p in parts)
    torch.testing.assert_close(together.total, wanted, atol=1e-4, rtol=1e-4)


def test_the_recipe_has_the_published_settings_and_no_export():
    config = load_recipe("linking-tokens")
    assert config.model == TokenConfig()
    assert (config.training.lr, config.training.patience, config.training.factor) == (1e-5, 5, 0.5)
    with pytest.raises(ConfigError, match="experimental and has no export"):
        get_system("linking-tokens")(config.model).export_signature()
    with pytest.raises(ConfigError, match="wanted an even multiple of num_heads 3"):
        build(TokenConfig, {"num_heads": 3})

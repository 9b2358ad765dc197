"""Linking as text, experimental: a transformer names the members of a particle one after another.

The published experiment did not learn, its authors say. Here it differs in two points. A trackster's token is the
encoding of the trackster itself, not a row of a learned table, so the numbering means nothing and any number of
tracksters will do. And tracksters that an earlier group holds are not offered again.

Shape letters: N tracksters, G groups, L tokens, M tracksters of a component, D width, V vocabulary (4 + M).
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hitloom.config import Config
from hitloom.data.trackster_features import EDGE_FEATURES
from hitloom.errors import ConfigError
from hitloom.event import Event
from hitloom.losses.base import Loss
from hitloom.nn.mlp import MLP
from hitloom.result import Result, Scores
from hitloom.stopwatch import Stopwatch
from hitloom.systems.base import ExportSignature, Needs, System, point_ids
from hitloom.systems.linking.graph import graph_of
from hitloom.systems.linking.token_text import EOS, NUM_SPECIAL, PAD, SOS, Text, component_rows, tell

_READ = ("barycenter_eta", "barycenter_phi", "raw_energy")


class TokenConfig(Config):
    """Defaults are those of the published notebook.

    ``targets``: the next member by energy, or (``group``) any member that has not been named. ``max_tokens``: longest
    text of a group.
    """

    width: int = Field(default=128, ge=2)
    num_heads: int = Field(default=2, ge=1)
    num_layers: int = Field(default=3, ge=1)
    feed_forward: int = Field(default=256, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    targets: Literal["next", "group"] = "next"
    max_tokens: int = Field(default=60, ge=2)

    @model_validator(mode="after")
    def _fits(self) -> TokenConfig:
        if self.width % self.num_heads or self.width % 2:
            raise ValueError(f"width {self.width}: wanted an even multiple of num_heads {self.num_heads}")
        return self


class LinkingTokens(System):
    """Encoder of tracksters, decoder of texts.

    Parameters
    ----------
    config : TokenConfig
    """

    name: ClassVar[str] = "linking-tokens"
    Config: ClassVar[type[TokenConfig]] = TokenConfig  # type: ignore[assignment]
    validates_partition: ClassVar[bool] = False
    config: TokenConfig
    positions: Tensor

    def __init__(self, config: TokenConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = MLP(
            in_dim=4, hidden_dim=width, out_dim=width, num_layers=2, activation="LeakyReLU",
            output_activation="LeakyReLU", layernorm=False, dropout=config.dropout,
        )  # fmt: skip
        self.special = nn.Parameter(torch.randn(2, width) / math.sqrt(width))  # SOS to read, EOS to choose
        layer = nn.TransformerDecoderLayer(
            width, config.num_heads, config.feed_forward, config.dropout, batch_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.num_layers)
        self.register_buffer("positions", sinusoids(config.max_tokens + 1, width), persistent=False)

    @property
    def needs(self) -> Needs:
        return Needs(fields=("pos", "x"), features=_READ, training_fields=("object_index",))

    def forward(self, event: Event) -> Scores:
        """Encode every trackster; the texts come with the loss or the reconstruction."""
        watch = Stopwatch(event.pos.device)
        with watch("graph"):
            edge_index = graph_of(event, EDGE_FEATURES)[0] if "edge_index" not in event else event.edge_index
        with watch("encoder"):
            eta, phi, energy = event.columns(_READ).unbind(1)
            inputs = torch.stack(
                [eta.abs() / 3, torch.cos(phi), torch.sin(phi), torch.log1p(energy.clamp(min=0)) / 5], 1
            )
            embedding = self.encoder(inputs)
        return Scores(embedding=embedding, edge_index=edge_index, timing=watch.seconds)

    def loss(self, scores: Scores, event: Event) -> Loss:
        """Return ``text``, the cross-entropy of the next token; PAD and what is given have no part in it."""
        assert scores.embedding is not None
        assert scores.edge_index is not None
        text = tell(event, scores.edge_index, max_tokens=self.config.max_tokens)
        wanted = text.following != PAD
        num = int(wanted.sum())
        if not num:
            return Loss(parts={"text": scores.embedding.sum() * 0.0}, counts={"text": 0})
        logit = self.logits(scores.embedding, text)
        if self.config.targets == "group":
            value = (torch.logsumexp(logit, -1) - torch.logsumexp(logit.masked_fill(~self._members(text), -1e30), -1))[
                wanted
            ]
        else:
            chosen = text.following.to(logit.device)[wanted]
            value = smoothed_entropy(logit[wanted], chosen, self.config.label_smoothing)
        return Loss(parts={"text": value.sum() / num}, counts={"text": num})

    def logits(self, embedding: Tensor, text: Text) -> Tensor:
        """Return the logits (G, L, V) of the next token; what cannot follow has -1e30."""
        device, (num_groups, length) = embedding.device, text.tokens.shape
        nodes, tokens = text.nodes.to(device), text.tokens.to(device)
        absent = nodes < 0
        memory = embedding[nodes.clamp(min=0)] * ~absent[..., None]
        place = (tokens - NUM_SPECIAL).clamp(min=0)
        said = torch.gather(memory, 1, place[..., None].expand(-1, -1, memory.shape[2]))
        said = torch.where((tokens == SOS)[..., None], self.special[0], said) + self.positions[:length]
        ahead = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
        state = self.decoder(
            said, memory, tgt_mask=ahead, tgt_key_padding_mask=tokens == PAD, memory_key_padding_mask=absent,
            tgt_is_causal=False,
        )  # fmt: skip
        choice = torch.einsum("gld,gmd->glm", state, memory) / math.sqrt(state.shape[2])
        end = (state @ self.special[1])[..., None]
        # a member cannot follow that an earlier group holds, or that was named before
        named = functional.one_hot(place, memory.shape[1]).bool() & (tokens >= NUM_SPECIAL)[..., None]
        barred = text.taken.to(device)[:, None] | (named.cumsum(1) > 0)
        never = choice.new_full((num_groups, length, NUM_SPECIAL), -1e30)
        never = torch.cat([never[..., :EOS], end, never[..., EOS + 1 :]], -1)
        return torch.cat([never, choice.masked_fill(barred, -1e30)], -1)

    def _members(self, text: Text) -> Tensor:
        """Return which tokens (G, L, V) may follow: members not yet named; EOS once there are none."""
        size = NUM_SPECIAL + text.nodes.shape[1]
        ids = functional.one_hot(text.following, size).bool() & (text.following != PAD)[..., None]
        later = ids.flip(1).cumsum(1).flip(1) > 0  # this one and all that come after it
        later[..., EOS] &= text.following == EOS
        return later.to(self.special.device)

    @torch.no_grad()
    def reconstruct(self, scores: Scores, event: Event) -> Result:
        """Name the groups of ONE event greedily: root after root by falling energy, each until EOS."""
        assert scores.embedding is not None
        assert scores.edge_index is not None
        watch, labels = Stopwatch(torch.device("cpu")), torch.full((event.num_points,), -1, dtype=torch.int64)
        with watch("text"):
            number = 0
            for rows in component_rows(event, scores.edge_index):
                free = torch.ones(len(rows), dtype=torch.bool)
                while bool(free.any()):
                    members = self._name(scores.embedding, rows, free)
                    labels[rows[members]] = number
                    free[members] = False
                    number += 1
            alone = labels < 0
            labels[alone] = number + torch.arange(int(alone.sum()))
            labels = torch.unique(labels, return_inverse=True)[1]
        return Result(
            event_id=int(event.event_id) if "event_id" in event else 0, point_id=point_ids(event), labels=labels,
            timing=scores.timing | watch.seconds,
        )  # fmt: skip

    def _name(self, embedding: Tensor, rows: Tensor, free: Tensor) -> list[int]:
        """Return the places of one group's members among the rows, its root first."""
        members = [int(free.nonzero()[0])]
        while len(members) < self.config.max_tokens - 1:
            tokens = torch.tensor([[SOS, *(place + NUM_SPECIAL for place in members)]])
            text = Text(nodes=rows[None], taken=~free[None], tokens=tokens, following=torch.zeros_like(tokens))
            best = int(self.logits(embedding, text)[0, -1].argmax())
            if best == EOS:
                break
            members.append(best - NUM_SPECIAL)
        return members

    def export_signature(self) -> ExportSignature:
        raise ConfigError("system 'linking-tokens' is experimental and has no export; mend: export 'linking'")


def smoothed_entropy(logit: Tensor, chosen: Tensor, smoothing: float) -> Tensor:
    """Return the cross-entropy (R,) of the logits (R, V), a share ``smoothing`` spread over what can follow."""
    log_p = functional.log_softmax(logit, -1)
    possible = logit > -1e29
    spread = torch.where(possible, log_p, 0.0).sum(-1) / possible.sum(-1)
    return -(1 - smoothing) * log_p.gather(-1, chosen[:, None])[:, 0] - smoothing * spread


def sinusoids(length: int, width: int) -> Tensor:
    """Return the sinusoidal positions (length, width) of arXiv:1706.03762."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).reshape(length, width)

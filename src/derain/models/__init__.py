"""The table of networks, by name: every system of the papers and every row of their ablations."""

import dataclasses
from typing import Any, NamedTuple

from derain.models.dcsfn import DCSFN, DCSFNConfig
from derain.models.ddn import DDN, DDNConfig
from derain.models.did_mdn import DIDMDN, DIDMDNConfig
from derain.models.drdnet import DRDNet, DRDNetConfig
from derain.models.jorder_e import JORDERE, JORDEREConfig
from derain.models.mh2fnet import MH2FNet, MH2FNetConfig
from derain.models.mspfn import MSPFN, MSPFNConfig
from derain.models.nafnet import NAFNet, NAFNetConfig
from derain.models.network import Network, check_contract, check_types
from derain.models.nledn import NLEDN, NLEDNConfig
from derain.models.prenet import PReNet, PReNetConfig
from derain.models.rcdnet import RCDNet, RCDNetConfig
from derain.models.rehen import ReHEN, ReHENConfig
from derain.models.rescan import RESCAN, RESCANConfig
from derain.models.sirr import SIRR, SIRRConfig
from derain.models.spanet import SPANet, SPANetConfig
from derain.models.umrl import UMRL, UMRLConfig

__all__ = ["MODELS", "Entry", "Network", "build"]


class Entry(NamedTuple):
    """A network of the table: its class, its configuration, and where it stands in its paper."""

    network: type[Network[Any]]
    config: Any
    source: str


def _mspfn(source: str, **changes: Any) -> Entry:
    return Entry(MSPFN, MSPFNConfig(**changes), f"MSPFN, {source}")


def _dcsfn(source: str, **changes: Any) -> Entry:
    return Entry(DCSFN, DCSFNConfig(**changes), f"DCSFN, {source}")


def _mh2fnet(source: str, **changes: Any) -> Entry:
    return Entry(MH2FNet, MH2FNetConfig(**changes), f"MH2F-Net, {source}")


def _rescan(source: str, **changes: Any) -> Entry:
    return Entry(RESCAN, RESCANConfig(**changes), f"RESCAN, Li et al., ECCV 2018, {source}")


MODELS: dict[str, Entry] = {
    "mspfn": _mspfn("M17N1, Tables 4-6"),
    "mspfn-lite": _mspfn(
        "MSPFN*, M5N1, Tables 3 and 6",
        fine_modules=5,
        width=32,
        lstm_widths=(32, 32, 32),
        strides=2,
        align="torch",  # no released weights to agree with, and 15 % faster: no padding, no crop
    ),
    "mspfn-m30n1": _mspfn("Table 3", fine_modules=30),
    "mspfn-m17n2": _mspfn("Table 3", fine_modules=17, attention_units=2),
    "mspfn-m13n2": _mspfn("Table 3", fine_modules=13, attention_units=2),
    "mspfn-m10n3": _mspfn("baseline, Tables 2 and 3", fine_modules=10, attention_units=3),
    "mspfn-m8n5": _mspfn("Table 3", fine_modules=8, attention_units=5),
    "mspfn-gaussian": _mspfn("with the Gaussian pyramid of its words", pyramid="gaussian"),
    "mspfn-recurrent": _mspfn("with three steps in each ConvLSTM, ours", recurrent_steps=3),
    "mspfn-model1": _mspfn(
        "Table 2, single scale",
        fine_modules=10,
        attention_units=3,
        levels=1,
        lstm_widths=(128,),
    ),
    "mspfn-model2": _mspfn(
        "Table 2, no coarse fusion", fine_modules=10, attention_units=3, coarse_fusion=False
    ),
    "mspfn-model3": _mspfn("Table 2, no fine fusion", fine_modules=0, attention_units=3),
    "mspfn-model4": _mspfn(
        "Table 2, no progressive fusion", fine_modules=10, attention_units=3, cross_scale=False
    ),
    "mspfn-model5": _mspfn("Table 2", fine_modules=5),
    "mspfn-model6": _mspfn("Table 2", fine_modules=6, attention_units=3),
    "mspfn-released": _mspfn(
        "the authors' test graph", lstm_widths=(256, 128, 64), rru_widths=(32, 32, 32)
    ),
    "mspfn-released-train": _mspfn(
        "the authors' training graph",
        attention_units=(3, 3, 1),
        lstm_widths=(256, 128, 64),
        rru_widths=(32, 32, 32),
    ),
    "dcsfn": _dcsfn("C32 K3 GRU; M4 of Table 3, Tables 1-6"),
    "dcsfn-code": _dcsfn("the authors' code, C20 K4", width=20, scales=4),
    "dcsfn-eq2": _dcsfn("in the order of Eq. 2", order="equation"),
    "dcsfn-small": _dcsfn("C16 L8, ours", width=16, blocks=8),
    "dcsfn-lstm": _dcsfn("Table 6", unit="lstm"),
    "dcsfn-rnn": _dcsfn("Table 6", unit="rnn"),
    "dcsfn-k1": _dcsfn("Table 5", scales=1),
    "dcsfn-k2": _dcsfn("Table 5", scales=2),
    "dcsfn-k4": _dcsfn("Table 5", scales=4),
    "dcsfn-m1": _dcsfn("Table 3, no skip connection", skip="none"),
    "dcsfn-m2": _dcsfn("Table 3, no dense connection", dense=False),
    "dcsfn-m3": _dcsfn("Table 3, one sub-network", single=True),
    "dcsfn-noinner": _dcsfn("Table 4, no inner-scale connection", inner=False),
    "dcsfn-nocross": _dcsfn("no recurrent cells", cross=False),
    "mh2fnet": _mh2fnet("N=8, Tables 2 and 3, Figure 7d"),
    "mh2fnet-n4": _mh2fnet("Table 3", extraction_blocks=4),
    "mh2fnet-n6": _mh2fnet("Table 3", extraction_blocks=6),
    "mh2fnet-n10": _mh2fnet("Table 3", extraction_blocks=10),
    "mh2fnet-nohadb": _mh2fnet("Figure 7a", hadb=False),
    "mh2fnet-concat": _mh2fnet("Figure 7b", fusion="concat"),
    "mh2fnet-add": _mh2fnet("Figure 7c", fusion="add"),
    "prenet": Entry(PReNet, PReNetConfig(), "PReNet, Ren et al., CVPR 2019"),
    "prenet-r": Entry(PReNet, PReNetConfig(recursive=True), "PReNet_r, Ren et al., CVPR 2019"),
    "nledn": Entry(NLEDN, NLEDNConfig(), "NLEDN, Li et al., ACM MM 2018; attention not counted"),
    "rescan": _rescan("GRU, full prediction"),
    "rescan-add": _rescan("GRU, additive prediction", frame="add"),
    "rescan-lstm": _rescan("LSTM", unit="lstm"),
    "rescan-rnn": _rescan("RNN", unit="rnn"),
    "rescan-conv": _rescan("no memory", unit="conv"),
    "scan": _rescan("SCAN: one stage, no memory", unit="conv", stages=1),
    "spanet": Entry(SPANet, SPANetConfig(), "SPANet, Wang et al., CVPR 2019, as released"),
    "spanet-directions": Entry(
        SPANet, SPANetConfig(direction_weights=True), "SPANet with the paper's direction weights"
    ),
    "rcdnet": Entry(RCDNet, RCDNetConfig(), "RCDNet, Wang et al., CVPR 2020"),
    "ddn": Entry(DDN, DDNConfig(), "DDN, Fu et al., CVPR 2017, published TensorFlow graph"),
    "ddn-running": Entry(DDN, DDNConfig(form="running"), "DDN, the authors' later code"),
    "ddn-matlab": Entry(DDN, DDNConfig(form="matlab"), "DDN, the MATLAB weights, our reading"),
    "sirr": Entry(SIRR, SIRRConfig(), "SIRR, Wei et al., CVPR 2019, all weights shared"),
    "sirr-code": Entry(SIRR, SIRRConfig(shared_affine=False), "SIRR, the authors' code"),
    "umrl": Entry(UMRL, UMRLConfig(), "UMRL, Yasarla and Patel, CVPR 2019"),
    "jorder-e": Entry(JORDERE, JORDEREConfig(), "JORDER-E, Yang et al., TPAMI 2019"),
    "jorder-e-practical": Entry(
        JORDERE, JORDEREConfig(width=32, units=3), "JORDER-E, the authors' practical form"
    ),
    "did-mdn": Entry(
        DIDMDN, DIDMDNConfig(), "DID-MDN, Zhang and Patel, CVPR 2018, size our reading"
    ),
    "did-mdn-known": Entry(
        DIDMDN, DIDMDNConfig(density=1), "DID-MDN's de-raining network, told the density"
    ),
    "drdnet": Entry(DRDNet, DRDNetConfig(), "DRD-Net, Deng et al., CVPR 2020, the authors' code"),
    "drdnet-paper": Entry(
        DRDNet, DRDNetConfig(detail_input="rainy"), "DRD-Net, detail from the rainy image"
    ),
    "rehen": Entry(ReHEN, ReHENConfig(), "ReHEN, Yang and Lu, ACM MM 2019, our reading"),
    "nafnet": Entry(NAFNet, NAFNetConfig(), "NAFNet, the authors' width-32 layout"),
    "nafnet-small": Entry(
        NAFNet,
        NAFNetConfig(encoder_blocks=(1, 1, 2), middle_blocks=4, decoder_blocks=(1, 1, 1)),
        "NAFNet, reduced",
    ),
}


def build(name: str, **changes: Any) -> Network[Any]:
    """Build a network of the table with fresh weights.

    Args:
        name: A key of ``MODELS``.
        **changes: Fields of its configuration to replace, such as ``fine_modules=8``.

    Raises:
        ValueError: Unknown name, unknown field or impossible value; says what is allowed. Or the
            network does not offer what ``Network`` says; names what is missing.
    """
    if name not in MODELS:
        raise ValueError(f"unknown network {name!r}; known: {', '.join(MODELS)}")
    entry = MODELS[name]
    fields = [field.name for field in dataclasses.fields(entry.config)]
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise ValueError(f"{name} has no argument {unknown[0]!r}; it has: {', '.join(fields)}")
    config = dataclasses.replace(entry.config, **changes)
    check_types(config)
    network = entry.network(config)
    check_contract(network)
    return network

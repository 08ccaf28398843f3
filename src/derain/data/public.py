"""The public deraining sets: what each is, where its authors publish it, what it overlaps with.

Sources: the papers and repositories named, also for counts and input scores; issue threads where
given as owner/name #number. Most of these sets state no licence, and we say so.
"""

from dataclasses import dataclass
from typing import Literal

UNKNOWN = "unknown: none stated"
_JORDER = "https://www.icst.pku.edu.cn/struct/Projects/joint_rain_removal.html"


@dataclass(frozen=True)
class PublicSet:
    """What is known of one set."""

    name: str  # as `--set` takes it
    title: str  # as papers write it
    about: str
    pairs: int  # or images, where there is no ground truth
    home: str
    overlaps: str
    folders: tuple[str, ...]  # names of its folder in copies, in small letters and digits alone
    licence: str = UNKNOWN
    # Where its authors' files hold pairs side by side
    clean_half: Literal["", "left", "right"] = ""
    input_psnr: float | None = None  # dB, Y, of the rainy images; tells sets of one name apart
    input_source: str = ""
    other_counts: tuple[tuple[int, str], ...] = ()  # copies that are known to differ
    real: bool = False  # photographs of real rain, without ground truth
    training: bool = False


_ALL = (
    PublicSet(
        "rain100h",
        "Rain100H",
        "first edition of JORDER's heavy set (Yang et al., CVPR 2017), streaks in five directions",
        100,
        f"{_JORDER} (first edition: http://www.icst.pku.edu.cn/struct/att/Rain100H.zip)",
        "546 of the 1,800 training pairs RainTrainH show its backgrounds (PReNet's README), so do "
        "13 pairs of Rain800; 91 of its backgrounds are distinct. MSPFN's and MPRNet's copies are "
        "cut to 480x320, the original is 481x321",
        ("rain100h", "r100h", "rain100htest", "testrain100h"),
        input_psnr=13.5505,
        other_counts=((200, "that is the second edition, Rain200H"),),
    ),
    PublicSet(
        "rain100l",
        "Rain100L",
        "first edition of JORDER's light set (Yang et al., CVPR 2017), streaks in one direction",
        100,
        f"{_JORDER} (first edition)",
        "13 training pairs of Rain800 show backgrounds of Rain100; Rain1800, part of Rain13K, has "
        "the same source",
        ("rain100l", "r100l", "rain100ltest", "testrain100l"),
        input_psnr=26.90,
        other_counts=((200, "that is the second edition, Rain200L"),),
    ),
    PublicSet(
        "rain200h",
        "Rain200H",
        "second edition of JORDER's heavy set, also called RainHeavy, and Rain100H in some papers "
        "(DCSFN's)",
        200,
        _JORDER,
        "unknown",
        ("rain200h", "rainheavy", "raindatatestheavy", "rain200htest"),
        input_psnr=13.07,
        input_source="MH2F-Net, Table 2",
        other_counts=((100, "that is the first edition, Rain100H"),),
    ),
    PublicSet(
        "rain200l",
        "Rain200L",
        "second edition of JORDER's light set, also called RainLight, and Rain100L in some papers "
        "(DCSFN's)",
        200,
        _JORDER,
        "unknown",
        ("rain200l", "rainlight", "raindatatestlight", "rain200ltest"),
        input_psnr=26.70,
        input_source="MH2F-Net, Table 2",
        other_counts=((100, "that is the first edition, Rain100L"),),
    ),
    PublicSet(
        "test100",
        "Test100",
        "test half of Rain800 (Zhang et al., ID-CGAN), pairs side by side, left = clean",
        100,
        "https://github.com/hezhangsprinter/ID-CGAN",
        "uses BSDS500's test part; one image equals a training image of Rain800; images 6 "
        "and 90 occur in other sets; 7 = 29, 11 = 27 and 67 = 75, so 97 are distinct",
        ("test100", "testsyn", "rain800test", "testrain800"),
        clean_half="left",
        input_psnr=22.59,
        other_counts=((98, "MPRNet's copy, swz30/MPRNet #23"),),
    ),
    PublicSet(
        "rain12",
        "Rain12",
        "Li et al. (CVPR 2016), light rain",
        12,
        "http://yu-li.github.io/paper/li_cvpr16_rain.zip (reported dead, nnUyi/DerainZoo #9)",
        "part of Rain13K, on which MSPFN, MPRNet and their followers train",
        ("rain12", "test12", "licvpr16rain"),
    ),
    PublicSet(
        "test1200",
        "Test1200",
        "test set of DID-MDN (Zhang and Patel, CVPR 2018), also called Rain1200 and DID-Data; "
        "light, medium and heavy rain; side by side, right = clean",
        1200,
        "https://github.com/hezhangsprinter/DID-MDN",
        "unknown",
        ("test1200", "rain1200", "didmdntest", "diddata"),
        clean_half="right",
    ),
    PublicSet(
        "rain1400",
        "Rain1400",
        "test set of DDN (Fu et al., CVPR 2017), also called DDN-Data: 100 photographs under 14 "
        "kinds of rain each",
        1400,
        "https://xueyangfu.github.io/projects/cvpr2017.html",
        "it is half of Test2800; draws on the collections of Rain800 (UCID, BSD)",
        ("rain1400", "rainyimagedataset", "ddndata"),
        input_psnr=25.24,
        input_source="MH2F-Net, Table 2",
        other_counts=((14000, "training and test images together"),),
    ),
    PublicSet(
        "test2800",
        "Test2800",
        "MSPFN's choice of 2,800 pairs of DDN's 14,000",
        2800,
        "https://github.com/kuijiang94/MSPFN (also with MPRNet's Rain13K)",
        "half are the test pairs of Rain1400, half training pairs of its authors' split: a network "
        "trained on that has seen them (kuijiang94/MSPFN #2)",
        ("test2800", "rain2800"),
        other_counts=((2801, "an early MPRNet copy, 926_10(1).jpg is there twice (#23)"),),
    ),
    PublicSet(
        "spa-data",
        "SPA-Data",
        "test set of SPANet (Wang et al., CVPR 2019): frames of real rain, ground truth from video",
        1000,
        "https://stevewongv.github.io/derain-project.html",
        "unknown",
        ("spadata", "spa", "realtest1000"),
        licence="BSD 3-clause by License.txt of stevewongv/SPANet, which its data README names",
        input_psnr=34.15,
        input_source="MH2F-Net, Table 2",
    ),
    PublicSet(
        "real147",
        "Real147",
        "real rainy photographs of SIRR (Wei et al., CVPR 2019), also called Internet-Data; no "
        "ground truth",
        147,
        "https://github.com/wwzjer/Semi-supervised-IRR",
        "unknown",
        ("real147", "real", "realinput", "sirr", "realinternet", "internetdata"),
        real=True,
        other_counts=((167, "as MH2F-Net's Table 1 counts Internet-Data"),),
    ),
    PublicSet(
        "real200",
        "Real200",
        "MSPFN's real rainy photographs; no ground truth",
        200,
        "https://github.com/kuijiang94/MSPFN",
        "unknown",
        ("real200",),
        real=True,
    ),
    PublicSet(
        "rid",
        "RID",
        "rain in driving, from MPID (Li et al., CVPR 2019); no ground truth, boxes of objects",
        2495,
        "https://github.com/lsy17096535/Single-Image-Deraining",
        "unknown",
        ("rid", "rainindriving"),
        real=True,
    ),
    PublicSet(
        "ris",
        "RIS",
        "rain in surveillance, from MPID (Li et al., CVPR 2019); no ground truth, boxes of objects",
        2348,
        "https://github.com/lsy17096535/Single-Image-Deraining",
        "unknown",
        ("ris", "raininsurveillance"),
        real=True,
    ),
    PublicSet(
        "coco350",
        "COCO350",
        "MSPFN's pairs for detection: photographs of COCO with rain drawn in Photoshop",
        350,
        "https://github.com/kuijiang94/MSPFN",
        "photographs of COCO",
        ("coco350",),
        input_psnr=14.79,
        input_source="MSPFN, Table 6",
    ),
    PublicSet(
        "bdd350",
        "BDD350",
        "MSPFN's pairs for detection: photographs of BDD with rain drawn in Photoshop",
        350,
        "https://github.com/kuijiang94/MSPFN",
        "photographs of BDD, as BDD150",
        ("bdd350",),
        input_psnr=14.13,
        input_source="MSPFN, Table 6",
    ),
    PublicSet(
        "bdd150",
        "BDD150",
        "MSPFN's pairs for segmentation: photographs of BDD with rain drawn in Photoshop",
        150,
        "https://github.com/kuijiang94/MSPFN",
        "photographs of BDD, as BDD350",
        ("bdd150",),
        input_psnr=18.00,
        input_source="MSPFN, Table 6",
    ),
    PublicSet(
        "rain200h-train",
        "Rain200H (training)",
        "training half of Rain200H, which DCSFN and MH2F-Net learn from; Rain1800 of MSPFN",
        1800,
        _JORDER,
        "546 of its pairs show backgrounds of Rain100H (PReNet's README)",
        ("raindatatrainheavy", "rain200htrain", "raintrainh"),
        training=True,
        other_counts=((1254, "without the 546 that show backgrounds of Rain100H"),),
    ),
    PublicSet(
        "rain200l-train",
        "Rain200L (training)",
        "training half of Rain200L",
        1800,
        _JORDER,
        "shows backgrounds of Rain100",
        ("raindatatrainlight", "rain200ltrain", "raintrainl"),
        training=True,
        other_counts=((200, "PReNet's RainTrainL"),),
    ),
    PublicSet(
        "rain1200-train",
        "Rain1200 (training)",
        "training half of DID-MDN's set: three folders of 4,000, heavy, medium and light, pairs "
        "side by side, right = clean",
        12000,
        "https://github.com/hezhangsprinter/DID-MDN",
        "unknown",
        ("didmdntraining", "rain1200train"),
        clean_half="right",
        training=True,
    ),
    PublicSet(
        "rain1400-train",
        "Rain1400 (training)",
        "training half of DDN's set: 900 photographs under 14 kinds of rain each",
        12600,
        "https://xueyangfu.github.io/projects/cvpr2017.html",
        "MSPFN's Test2800 holds 1,400 of its pairs",
        ("rain1400train", "ddntrain", "ddndatatrain", "rainyimagedatasettrain"),
        training=True,
    ),
    PublicSet(
        "spa-data-train",
        "SPA-Data (training)",
        "training half of SPA-Data: crops of video frames in folders by clip",
        638492,
        "https://stevewongv.github.io/derain-project.html",
        "unknown",
        ("spadatatrain", "spatrain", "spaplus"),
        licence="BSD 3-clause by License.txt of stevewongv/SPANet, which its data README names",
        training=True,
    ),
    PublicSet(
        "rain800",
        "Rain800 (training)",
        "training half of Rain800 (Zhang et al., ID-CGAN), side by side, left = clean",
        700,
        "https://github.com/hezhangsprinter/ID-CGAN",
        "13 pairs share a background with Rain100H/L, one equals an image of Test100; about 368 "
        "distinct backgrounds",
        ("rain800", "rain800train", "rain800training"),
        clean_half="left",
        other_counts=((686, "without the 14 that overlap Rain100 and Test100"),),
        training=True,
    ),
    PublicSet(
        "rain13k",
        "Rain13K (training)",
        "MPRNet's copy of MSPFN's training pairs: Rain14000, Rain1800, Rain800, Rain12. Its five "
        "test sets are test100, rain100h, rain100l, test1200 and test2800",
        13711,
        "https://github.com/swz30/MPRNet (Deraining/Datasets)",
        "holds Rain12; its Rain1800 has the source of Rain100H/L, 546 of whose training pairs show "
        "test backgrounds; its Rain800 and Rain14000 draw on the same collections",
        ("rain13k", "rain13ktrain"),
        other_counts=((13712, "as the papers count; one pair was damaged, swz30/MPRNet #74"),),
        training=True,
    ),
)

SETS: dict[str, PublicSet] = {public.name: public for public in _ALL}

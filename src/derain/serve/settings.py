"""How a server runs and what it allows."""

from dataclasses import dataclass, field

from derain.weights.catalog import DEFAULT

# Images at a time in one worker: one is decoded or encoded while the network runs on the other.
THREADS = 2


@dataclass(frozen=True)
class ClipLimits:
    """What a clip may be; each runs in a process of its own, one at a time."""

    bytes: int = 256_000_000  # of one upload
    pixels: int = 9_000_000  # of one frame
    frames: int = 9_000
    seconds: float = 300.0  # that it plays
    growth: int = 10  # times the upload: what is kept free for a result
    least: int = 50_000_000  # bytes, and at least and at most so many
    most: int = 400_000_000
    patience: float = 600.0  # seconds without a frame after which it is given up

    def reserved(self, upload: int) -> int:
        """Bytes that the result of an upload may have."""
        return min(max(self.growth * upload, self.least), self.most)


@dataclass(frozen=True)
class Limits:
    """What clients may ask for, and for how long the server waits for them."""

    bytes: int = 64_000_000  # of one upload
    pixels: int = 100_000_000  # of one image
    queue: int = 64  # jobs that wait or run, of all clients
    jobs: int = 32  # jobs that wait or run, of one address
    held: int = 1_000_000_000  # bytes of all uploads and results together
    results: int = 256  # finished jobs that are kept
    expiry: float = 600.0  # seconds that a finished job is kept
    absence: float = 30.0  # seconds without a watcher after which a watched job is cancelled
    head: float = 10.0  # seconds for a request's line and headers
    head_bytes: int = 16_384
    patience: float = 20.0  # seconds that a body or an answer may stand still
    rate: int = 20_000  # bytes per second that an upload must reach on average
    connections: int = 512
    drain: float = 10.0  # seconds that finished results wait for their clients after SIGTERM
    clip: ClipLimits = field(default_factory=ClipLimits)

    @property
    def largest(self) -> int:
        """Bytes of the largest upload of any kind."""
        return max(self.bytes, self.clip.bytes)


@dataclass(frozen=True)
class Settings:
    """How a server runs."""

    model: str = DEFAULT  # a name or a file; clients choose among the names
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    memory: str | None = None  # for one image, as `derain restore --memory`
    workers: int = 1  # processes that restore
    quality: int = 95  # of JPEG, WebP and AVIF, as `derain restore --quality`
    token: str | None = None  # what clients must show; None lets everybody in
    hosts: tuple[str, ...] = ()  # names that the Host header may hold beside this machine's own
    log_names: bool = False  # whether names of images go to the log
    limits: Limits = field(default_factory=Limits)

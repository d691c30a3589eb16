"""The recipe of the pocket base, stage by stage; every stage goes on where it was stopped.

    python -m recipes.pocket.train WORK autoencoder   # pictures -> a KL autoencoder, f4, 4 channels
    python -m recipes.pocket.train WORK decoder       # its decoder once more, on whole pictures
    python -m recipes.pocket.train WORK latents       # tokenizer, captions, latent moments
    python -m recipes.pocket.train WORK denoiser      # text encoder and U-Net, epsilon-prediction
    python -m recipes.pocket.train WORK unpack        # in place of the first two: what ships
    python -m recipes.pocket.train WORK export        # the diffusers folder that ships

Everything is seeded; the schedule is Stable Diffusion's (scaled-linear, 0.00085 to 0.012, 1000
steps).
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from recipes.pocket import pictures
from recipes.pocket.tokenizer import make_tokenizer

WEIGHTS = Path(__file__).parents[2] / "src/latentdrift/model/pocket/weights"
log = logging.getLogger("pocket")
SEED = 20260
CROP = 64
CROPS = 8  # autoencoder: pixels on a side of a training crop, crops per step
WHOLE = 128
WHOLES = (
    4  # the last part of it sees whole pictures, so that group norms meet their real statistics
)
STEADY = 1850  # step at which the norms are steadied
SHIPPED = 13_500  # steps behind the denoiser that ships
PICTURES = 24_000  # cached for the denoiser
BATCH = 32
OFFSET_NOISE = 0.1  # (Guttenberg 2023): lets the model leave mid-grey
CAPTION_DROPOUT = 0.1
OFTENER = {
    "digit": 2.0,
    "background": 1.5,
}  # part of a caption -> how often its pictures are shown, against 1 of all others
SCHEDULE = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
)

AUTOENCODER = dict(
    block_out_channels=(16, 32, 64),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=1,
    latent_channels=4,
    norm_num_groups=1,
    mid_block_add_attention=False,
    sample_size=128,
)
DENOISER = dict(
    sample_size=32,
    in_channels=4,
    out_channels=4,
    block_out_channels=(32, 64, 128, 176),
    layers_per_block=1,
    down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    cross_attention_dim=160,
    attention_head_dim=(1, 1, 2, 2),
    norm_num_groups=16,
)
TEXT = dict(
    hidden_size=160,
    intermediate_size=480,
    num_hidden_layers=3,
    num_attention_heads=4,
    max_position_embeddings=77,
)


def save_state(
    path: Path, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer, step: int
) -> None:
    """Written aside and renamed, so that a kill never leaves half a checkpoint."""
    state = {
        "step": step,
        "optimizer": optimizer.state_dict(),
        **{k: m.state_dict() for k, m in modules.items()},
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def load_state(
    path: Path, modules: dict[str, torch.nn.Module], optimizer: torch.optim.Optimizer
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, module in modules.items():
        module.load_state_dict(state[name])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def rate(step: int, total: int, top: float, warmup: int = 100) -> float:
    """Warm-up, then a half cosine down to a twentieth."""
    if step < warmup:
        return top * (step + 1) / warmup
    return top * (
        0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
    )


def plateau(
    step: int, total: int, top: float, warmup: int, cooldown: float = 0.2, begun: int = 0
) -> float:
    """Warm-up from where the optimiser began, then level, then a straight line down to a fiftieth.

    A longer run begins as a shorter one did.
    """
    down = (total - step) / (cooldown * total)
    return top * min((step - begun + 1) / warmup, max(0.02, min(1.0, down)))


def time_weights(alpha_bar: torch.Tensor, most: float = 5.0, least: float = 1.0) -> torch.Tensor:
    """[1000] weights of the squared error of epsilon, mean 1: that of x0 counts min(SNR, 5) + 1
    (Hang 2023 and the floor of v).

    At the noisiest times, where the caption decides what the picture will be, an unweighted loss on
    epsilon counts an error of x0 by the SNR alone, 0.005: captions are learned last.
    """
    snr = alpha_bar / (1 - alpha_bar)
    weights = (snr.clamp(max=most) + least) / snr
    return weights / weights.mean()


def crops(step: int, size: int, count: int) -> torch.Tensor:
    """[count, 3, size, size] in [-1, 1]; four crops per picture."""
    rng = np.random.default_rng([SEED, 1, step])
    out: list[np.ndarray] = []
    while len(out) < count:
        image = pictures.picture(int(rng.integers(2**31)), SEED)[0]
        for _ in range(4 if size < pictures.SIZE else 1):
            top, left = rng.integers(pictures.SIZE - size + 1, size=2)
            out.append(image[top : top + size, left : left + size])
    return torch.from_numpy(np.stack(out[:count])).permute(0, 3, 1, 2) * 2 - 1


def train_autoencoder(work: Path, steps: int) -> None:
    torch.manual_seed(SEED)
    model = AutoencoderKL(**AUTOENCODER).to(memory_format=torch.channels_last)
    with (
        torch.no_grad()
    ):  # start with little posterior noise; from N(mean, 1) the signal would drown for a long time
        model.quant_conv.bias[4:] = -6.0
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    first = load_state(work / "autoencoder.pt", {"model": model}, optimizer)
    began = time.time()
    errors = list[float]()
    for step in range(first, steps):
        if step == STEADY:
            steady_norms(model, crops(step, WHOLE, 8))
        whole = step > 0.85 * steps
        x = crops(step, *((WHOLE, WHOLES) if whole else (CROP, CROPS))).to(
            memory_format=torch.channels_last
        )
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 1.5e-3)
        posterior = model.encode(x).latent_dist
        noise = torch.randn(
            posterior.mean.shape, generator=torch.Generator().manual_seed(SEED + step)
        )
        y = model.decode(posterior.mean + posterior.std * noise).sample
        mse = F.mse_loss(y, x, reduction="none").mean((1, 2, 3))
        # the mean log error is the mean PSNR: loud colours do not drown the greys
        # and colour has a term of its own: alone, the network settles for the lightness of
        # everything
        chroma = F.mse_loss(
            F.avg_pool2d(y - y.mean(1, keepdim=True), 4),
            F.avg_pool2d(x - x.mean(1, keepdim=True), 4),
        )
        loss = (
            (mse + 1e-4).log().mean()
            + 50 * chroma
            + 0.01 * posterior.kl().mean() / posterior.mean[0].numel()
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        errors.append(mse.detach().log10().mean().item())
        if step % 50 == 49:
            psnr = 10 * (math.log10(4) - np.mean(errors[-50:]))
            log.info(
                "autoencoder %d/%d psnr %.2f dB, %.2f s/step",
                step + 1,
                steps,
                psnr,
                (time.time() - began) / (step + 1 - first),
            )
            save_state(work / "autoencoder.pt", {"model": model}, optimizer, step + 1)
    save_state(work / "autoencoder.pt", {"model": model}, optimizer, steps)


@torch.no_grad()
def steady_norms(model: AutoencoderKL, x: torch.Tensor, strength: float = 10.0) -> None:
    """Give the last group norm of encoder and decoder two large constant channels.

    A norm over the whole picture takes away its brightness and contrast. Beside two channels that
    stand at +-`strength` standard deviations its statistics hardly move with the picture, so flat
    and smooth pictures keep their level.
    """
    for half, resnet in (
        (model.encoder, model.encoder.mid_block.resnets[-1]),
        (model.decoder, model.decoder.up_blocks[-1].resnets[-1]),
    ):
        seen: list[torch.Tensor] = []
        hook = half.conv_norm_out.register_forward_pre_hook(
            lambda _m, args, seen=seen: seen.append(args[0])
        )
        model.decode(model.encode(x).latent_dist.mean)
        hook.remove()
        std = seen[0].std().item()
        channels = seen[0].shape[1]
        resnet.conv2.bias[:2] += torch.tensor([strength * std, -strength * std])
        half.conv_norm_out.weight *= math.sqrt(1 + 2 * strength**2 / channels)
        constant = F.silu(
            half.conv_norm_out.weight[0] * strength / math.sqrt(1 + 2 * strength**2 / channels)
        )
        half.conv_out.bias -= constant * half.conv_out.weight[:, 0].sum((1, 2))


def polish_decoder(work: Path, steps: int) -> None:
    """The decoder alone, on whole pictures and posterior means: latents, and so the denoiser, stay
    as they are."""
    model = load_autoencoder(work).to(memory_format=torch.channels_last)
    parameters = [*model.decoder.parameters(), *model.post_quant_conv.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        parameters, 1e-3, betas=(0.9, 0.99), weight_decay=1e-4, fused=True
    )
    errors: list[float] = []
    for step in range(load_state(work / "decoder.pt", {"model": model}, optimizer), steps):
        x = crops(10_000_000 + step, WHOLE, WHOLES).to(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 1e-3)
        y = model.decode(model.encode(x).latent_dist.mean).sample
        mse = F.mse_loss(y, x, reduction="none").mean((1, 2, 3))
        optimizer.zero_grad()
        (mse + 1e-4).log().mean().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        errors.append(mse.detach().log10().mean().item())
        if step % 50 == 49 or step == steps - 1:
            log.info(
                "decoder %d/%d psnr %.2f dB",
                step + 1,
                steps,
                10 * (math.log10(4) - np.mean(errors[-50:])),
            )
            save_state(work / "decoder.pt", {"model": model}, optimizer, step + 1)


def load_autoencoder(work: Path) -> AutoencoderKL:
    model = AutoencoderKL(**AUTOENCODER)
    polished = work / "decoder.pt"
    model.load_state_dict(
        torch.load(polished if polished.exists() else work / "autoencoder.pt", weights_only=True)[
            "model"
        ]
    )
    return model.eval().requires_grad_(False)


def cache_shard(work: Path, shard: int) -> None:
    """1,000 pictures: `latents/<shard>.safetensors` with moments (float16) and captions."""
    path = work / "latents" / f"{shard:03d}.safetensors"
    if path.exists():
        return
    torch.set_num_threads(1)
    model = load_autoencoder(work).to(memory_format=torch.channels_last)
    means = []
    stds = []
    captions = []
    for start in range(0, 1000, 50):
        made = [pictures.picture(1_000_000 + shard * 1000 + start + i, SEED) for i in range(50)]
        x = torch.from_numpy(np.stack([m[0] for m in made])).permute(0, 3, 1, 2) * 2 - 1
        with torch.inference_mode():
            posterior = model.encode(x.to(memory_format=torch.channels_last)).latent_dist
        means.append(posterior.mean.half().contiguous())
        stds.append(posterior.std.half().contiguous())
        captions += [m[1] for m in made]
    save_file(
        {"mean": torch.cat(means), "std": torch.cat(stds)},
        path.with_suffix(".tmp"),
        {"captions": json.dumps(captions)},
    )
    path.with_suffix(".tmp").replace(path)


def cache_latents(work: Path, count: int) -> None:
    """All shards, one process per core; then the tokenizer over all captions."""
    (work / "latents").mkdir(exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for done, _ in enumerate(
            pool.map(partial(cache_shard, work), range(count // 1000)), start=1
        ):
            log.info("latents: %d of %d shards", done, count // 1000)
    if not (work / "tokenizer").exists():
        make_tokenizer(captions_of(work), work / "tokenizer")


def unpack(work: Path, shipped: Path, step: int) -> None:
    """Checkpoints, tokenizer and scaling of the weights that ship, so that `latents` and `denoiser`
    go on from `step`."""
    shutil.copytree(shipped / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    vae = AutoencoderKL.from_pretrained(shipped / "vae")
    torch.save({"model": vae.state_dict()}, work / "decoder.pt")
    (work / "scaling.json").write_text(json.dumps(vae.config.scaling_factor))
    _, text, unet = build_denoiser(work)
    text.load_state_dict(
        CLIPTextModel.from_pretrained(shipped / "text_encoder", dtype=torch.float32).state_dict()
    )
    unet.load_state_dict(UNet2DConditionModel.from_pretrained(shipped / "unet").state_dict())
    modules: dict[str, torch.nn.Module] = {"text": text, "unet": unet}
    save_state(work / "denoiser.pt", modules, denoiser_optimizer(modules), step)


def scaling(work: Path) -> float:
    """What latents are multiplied by: found once, to unit power about zero; a denoiser belongs to
    it."""
    path = work / "scaling.json"
    if not path.exists():
        mean = torch.cat([load_file(shard)["mean"] for shard in shards(work)]).float()
        path.write_text(json.dumps(1 / mean.pow(2).mean().sqrt().item()))
    return json.loads(path.read_text())


def shards(work: Path) -> list[Path]:
    return sorted((work / "latents").glob("*.safetensors"))


def captions_of(work: Path) -> list[str]:
    from safetensors import safe_open

    found: list[str] = []
    for path in shards(work):
        with safe_open(path, "pt") as file:
            found += json.loads(file.metadata()["captions"])
    return found


def build_denoiser(work: Path) -> tuple[CLIPTokenizer, CLIPTextModel, UNet2DConditionModel]:
    torch.manual_seed(SEED)
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    ids = dict(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(tokenizer), **TEXT, **ids))
    return tokenizer, text, UNet2DConditionModel(**DENOISER).to(memory_format=torch.channels_last)


def denoiser_optimizer(modules: dict[str, torch.nn.Module]) -> torch.optim.Optimizer:
    parameters = [p for m in modules.values() for p in m.parameters()]
    return torch.optim.AdamW(parameters, 5e-4, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)


def train_denoiser(work: Path, steps: int, precision: str) -> None:
    tokenizer, text, unet = build_denoiser(work)
    stored = [load_file(path) for path in shards(work)]
    mean, std = (torch.cat([s[key] for s in stored]) for key in ("mean", "std"))
    captions = captions_of(work)
    often = torch.tensor(
        [max([1.0, *(more for part, more in OFTENER.items() if part in text)]) for text in captions]
    )
    tokens = tokenizer(
        [*captions, ""], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    factor = scaling(work)
    alpha_bar = DDIMScheduler(**SCHEDULE).alphas_cumprod
    weights = time_weights(alpha_bar)

    modules: dict[str, torch.nn.Module] = {"text": text, "unet": unet}
    parameters = [p for m in modules.values() for p in m.parameters()]
    optimizer = denoiser_optimizer(modules)
    first = load_state(work / "denoiser.pt", modules, optimizer)
    begun = (
        0 if optimizer.state else first
    )  # weights that were unpacked come without the optimiser's memory
    began = time.time()
    losses = list[float]()
    for step in range(first, steps):
        rng = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        pick = torch.multinomial(often, BATCH, replacement=True, generator=rng)
        m = mean[pick].float()
        s = std[pick].float()
        x0 = (m + s * torch.randn(m.shape, generator=rng)) * factor
        drop = torch.rand(BATCH, generator=rng) < CAPTION_DROPOUT
        t = torch.randint(1000, (BATCH,), generator=rng)
        eps = torch.randn(x0.shape, generator=rng) + OFFSET_NOISE * torch.randn(
            (BATCH, x0.shape[1], 1, 1), generator=rng
        )
        a = alpha_bar[t].sqrt().view(-1, 1, 1, 1)
        sigma = (1 - alpha_bar[t]).sqrt().view(-1, 1, 1, 1)
        xt = (a * x0 + sigma * eps).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            context = text(torch.where(drop[:, None], tokens[-1], tokens[pick])).last_hidden_state
            prediction = unet(xt, t, context).sample
        loss = (weights[t] * (prediction.float() - eps).pow(2).mean((1, 2, 3))).mean()
        for group in optimizer.param_groups:
            group["lr"] = plateau(step, steps, 6e-4, warmup=200, begun=begun)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 100 == 99 or step == steps - 1:
            log.info(
                "denoiser %d/%d loss %.4f, %.3f s/step",
                step + 1,
                steps,
                np.mean(losses[-100:]),
                (time.time() - began) / (step + 1 - first),
            )
            save_state(work / "denoiser.pt", modules, optimizer, step + 1)


def export(work: Path, out: Path) -> None:
    """The diffusers folder: float16 safetensors."""
    from diffusers import StableDiffusionPipeline

    tokenizer, text, unet = build_denoiser(work)
    state = torch.load(work / "denoiser.pt", weights_only=True)
    text.load_state_dict(state["text"])
    unet.load_state_dict(state["unet"])
    vae = load_autoencoder(work)
    vae.register_to_config(scaling_factor=scaling(work))
    scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    pipe = StableDiffusionPipeline(
        vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )
    pipe.to(torch.float16).save_pretrained(out)
    _load_in_float32(out / "text_encoder" / "config.json")
    log.info("exported %s after %d steps", out, state["step"])


def _load_in_float32(path: Path) -> None:
    """Have transformers load a text encoder in float32, as diffusers loads the parts beside it, and
    not as it is stored."""
    about = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**about, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for checkpoints and caches")
    parser.add_argument(
        "stage", choices=["autoencoder", "decoder", "unpack", "latents", "denoiser", "export"]
    )
    parser.add_argument("--autoencoder-steps", type=int, default=4600)
    parser.add_argument("--decoder-steps", type=int, default=700)
    parser.add_argument("--denoiser-steps", type=int, default=SHIPPED)
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], default="fp32", help="of the denoiser's arithmetic"
    )
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    stages = {
        "autoencoder": lambda: train_autoencoder(options.work, options.autoencoder_steps),
        "decoder": lambda: polish_decoder(options.work, options.decoder_steps),
        "unpack": lambda: unpack(options.work, options.out, SHIPPED),
        "latents": lambda: cache_latents(options.work, options.pictures),
        "denoiser": lambda: train_denoiser(options.work, options.denoiser_steps, options.precision),
        "export": lambda: export(options.work, options.out),
    }
    stages[options.stage]()


if __name__ == "__main__":
    main()

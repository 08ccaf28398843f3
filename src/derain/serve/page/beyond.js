// Strength above 100 %: what the result took away, taken away once more in part.

const MOST = 4e6; // pixels that are drawn; a larger image is drawn smaller
let drawn = null; // {after, from, to, out}: the pixels of the pair that was drawn last

/**
 * Draw after + (strength - 1) (after - before), as --strength above 1 does, for the eye alone.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} before
 * @param {HTMLImageElement} after  Of the same size.
 * @param {number} strength  1 to 1.5
 */
export function beyond(canvas, before, after, strength) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (drawn?.after !== after.src) {
    const { naturalWidth: width, naturalHeight: height } = after;
    const scale = Math.min(1, Math.sqrt(MOST / (width * height)));
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    const pixels = (image) => {
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      return context.getImageData(0, 0, canvas.width, canvas.height);
    };
    const to = pixels(after);
    const from = pixels(before).data;
    drawn = { after: after.src, from, to: to.data.slice(), out: to };
  }
  const { from, to, out } = drawn;
  const more = strength - 1;
  for (let n = 0; n < to.length; n += 4) {
    for (let c = n; c < n + 3; c += 1) out.data[c] = to[c] + more * (to[c] - from[c]); // it clamps
  }
  context.putImageData(out, 0, 0);
}

// A ZIP archive without compression: images are compressed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** The CRC-32 of some bytes. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers as [value, bytes] pairs. */
function pack(...fields) {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [, size]) => sum + size, 0)));
  let at = 0;
  for (const [value, size] of fields) {
    if (size === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += size;
  }
  return view.buffer;
}

const UTF8 = 1 << 11; // flag: names are UTF-8
const LIMIT = 0xffffffff; // bytes; more needs ZIP64

/**
 * An archive of files.
 *
 * @param {{name: string, blob: Blob}[]} files  Names must differ.
 * @param {Date} date  The time of every file.
 * @returns {Promise<Blob>}
 * @throws {RangeError} More than 4 GB or 65,535 files.
 */
export async function zip(files, date = new Date()) {
  const day = ((date.getFullYear() - 1980) << 9) | ((date.getMonth() + 1) << 5) | date.getDate();
  const time = (date.getHours() << 11) | (date.getMinutes() << 5) | (date.getSeconds() >> 1);
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, blob } of files) {
    const label = new TextEncoder().encode(name);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const about = [
      [20, 2], [UTF8, 2], [0, 2], [time, 2], [day, 2],
      [crc, 4], [blob.size, 4], [blob.size, 4], [label.length, 2], [0, 2],
    ];
    parts.push(pack([0x04034b50, 4], ...about), label, blob);
    directory.push(
      pack([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), label,
    );
    offset += 30 + label.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  if (offset + size > LIMIT || files.length > 0xffff) {
    throw new RangeError("These are more than 4 GB. Download them one by one.");
  }
  const end = pack(
    [0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2],
    [size, 4], [offset, 4], [0, 2],
  );
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

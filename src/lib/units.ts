/** Sizes, rates and durations as people read and write them. Binary units throughout, as Proxmox VE shows them. */

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;

const unitNames = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** 1536 → "1.5 KiB". At most three significant digits after scaling, no digits after the point for plain bytes. */
export function formatBytes(sizeBytes: number): string {
  let scaled = sizeBytes;
  let unit = 0;
  // 1023.5 would be printed as 1024 of the smaller unit.
  while (Math.abs(scaled) >= 1023.5 && unit < unitNames.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  const digits = unit === 0 ? 0 : Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${unitNames[unit] ?? ''}`;
}

/** "12.3 MiB/s"; "-" where no time has passed. */
export function formatRate(sizeBytes: number, durationMs: number): string {
  return durationMs > 0 ? `${formatBytes((sizeBytes * 1000) / durationMs)}/s` : '-';
}

/** 75 s → "1m 15s"; below a minute "12.3s". */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, durationMs) / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}h ${minutes}m` : `${minutes}m ${whole % 60}s`;
}

/** "512K", "4M", "1GiB", "42" → bytes; undefined where it is none of these or no exact integer. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d{1,16})\s*(?:([KMGTP])(?:i?B)?|B)?$/i.exec(text.trim());
  if (!match?.[1]) return undefined;
  const power = match[2] ? 'KMGTP'.indexOf(match[2].toUpperCase()) + 1 : 0;
  const sizeBytes = Number(match[1]) * 1024 ** power;
  return Number.isSafeInteger(sizeBytes) ? sizeBytes : undefined;
}

/** Whole percents in [0, 100], rounded down, so that 100 means all of it. Nothing of nothing is all of it. */
export function percent(part: number, whole: number): number {
  if (whole <= 0) return 100;
  return Math.min(100, Math.max(0, Math.floor((part / whole) * 100)));
}

/** How many times smaller `storedBytes` is than `logicalBytes`: "12.3x"; "-" where nothing is stored. */
export function formatRatio(logicalBytes: number, storedBytes: number): string {
  if (storedBytes <= 0) return '-';
  const ratio = logicalBytes / storedBytes;
  return `${ratio.toFixed(ratio >= 100 ? 0 : ratio >= 10 ? 1 : 2)}x`;
}

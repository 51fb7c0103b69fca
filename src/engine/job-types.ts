/** How long jobs of the native core are watched and stopped; types.ts has the rules that hold for all of it. */

export interface JobControl<Progress> {
  /** Called about every 250 ms, and once at the end. */
  readonly onProgress?: (progress: Progress) => void;
  /** Stops the job: it rejects with E_CANCELLED, soon, or at once where a kernel call hangs. */
  readonly signal?: AbortSignal;
}

export interface CopyProgress {
  readonly totalBytes: number;
  readonly processedBytes: number;
  /** Of processed: holes, which are not read from the repository. */
  readonly holeBytes: number;
}

// When something was asked for last, by name, so that it is not asked for again too soon.

export class Asked {
  private readonly at = new Map<string, number>();

  /** The names that were not asked for in the last fresh milliseconds. */
  due(names: string[], now: number, fresh: number): string[] {
    return names.filter((name) => (this.at.get(name) ?? -Infinity) < now - fresh);
  }

  /**
   * Notes that names are being asked for, and returns a function to call when they are answered. If the request is
   * aborted before, they are due again at once, without waiting for its promise to fail.
   */
  ask(names: string[], now: number, abort?: AbortSignal): () => void {
    for (const name of names) this.at.set(name, now);
    const aborted = (): void => this.forget(names);
    abort?.addEventListener('abort', aborted, { once: true });
    return () => abort?.removeEventListener('abort', aborted);
  }

  forget(names: string[]): void {
    for (const name of names) this.at.delete(name);
  }

  clear(): void { this.at.clear(); }
}

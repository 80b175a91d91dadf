// When something was asked for last, by name, so that it is not asked for again too soon.

export class Asked {
  private readonly at = new Map<string, number>();

  /** The names that were not asked for in the last so many milliseconds. */
  due(names: string[], now: number, fresh: number): string[] {
    return names.filter((name) => (this.at.get(name) ?? -Infinity) < now - fresh);
  }

  /**
   * Notes that names are being asked for, until the function that it returns is called: whoever aborts it before has
   * no answer, and they are due again at once, also to who asks in the same turn.
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

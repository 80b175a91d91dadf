// One way to the server for all clients. It knows when the server cannot be reached and when it is
// back, and how far this computer's clock is off.
import { FetchHttpHandler } from '@smithy/fetch-http-handler';
import { effect, signal } from '@preact/signals';

/** Since when the server cannot be reached, milliseconds since the Unix epoch; null while it can. */
export const awaySince = signal<number | null>(null);

/** How far the server's clock is ahead of this one, milliseconds; 0 before the first answer. */
export const clockOffset = signal(0);

/** Rises each time that the server is back, so that whoever waits asks again. */
export const returns = signal(0);

const retryMillis = 2000;

/** Makes the requests of the AWS clients. */
export const handler: Pick<FetchHttpHandler, 'handle' | 'updateHttpClientConfig' | 'httpHandlerConfigs' | 'destroy'> = (() => {
  const plain = new FetchHttpHandler();
  return {
    handle: async (request, options) => {
      try {
        const answer = await plain.handle(request, options);
        reached(answer.response.headers['date']);
        return answer;
      } catch (error) {
        if (!options?.abortSignal?.aborted) unreachable();
        throw error;
      }
    },
    updateHttpClientConfig: (key, value) => plain.updateHttpClientConfig(key, value),
    httpHandlerConfigs: () => plain.httpHandlerConfigs(),
    destroy: () => plain.destroy(),
  };
})();

/** Notes that the server answered; date is its Date header. */
export function reached(date?: string | null): void {
  if (awaySince.peek() !== null) {
    awaySince.value = null;
    returns.value += 1;
  }
  const theirs = Date.parse(date ?? '');
  if (!Number.isNaN(theirs)) {
    const off = theirs + 500 - Date.now(); // the header has whole seconds
    if (Math.abs(off - clockOffset.peek()) > 1500) clockOffset.value = off;
  }
}

/** Notes that the server did not answer. */
export function unreachable(): void {
  awaySince.value ??= Date.now();
}

// While the server is away, its readiness is asked for until it answers.
effect(() => {
  if (awaySince.value === null) return undefined;
  const timer = setInterval(() => {
    void fetch('readyz', { cache: 'no-store' }).then((answer) => {
      if (answer.ok) reached(answer.headers.get('date'));
      return answer.ok;
    }).catch(() => {});
  }, retryMillis);
  return () => clearInterval(timer);
});

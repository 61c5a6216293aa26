// What a view has asked for, and what came of it.

import { useEffect, useRef, useState } from "../lib/ui.js";
import { asked } from "./exports.js";
import { connection } from "./stream.js";

/**
 * Ask when a component is shown, and anew when the connection is back. Meanwhile, and after an error, the data
 * from before stay.
 *
 * @param {(stop: AbortSignal) => Promise<any>} ask
 * @param {any[]} deps Ask anew if one of them is another one.
 * @param {{live?: boolean}} options `live`: ask anew for each new export, too. An operator may see many.
 * @returns {{data: any, error: Error | null, again: () => void, put: (data: any) => void}} `data` is null
 *   until there was an answer; `put` takes in what is newer.
 */
export function useAnswer(ask, deps = [], { live = false } = {}) {
  const [answer, setAnswer] = useState({ data: null, error: null });
  const [round, setRound] = useState(0);
  const put = (data) => setAnswer({ data, error: null });
  const lost = connection.value === "lost";
  useEffect(() => {
    if (lost && answer.data !== null) return undefined;
    const stop = new AbortController();
    ask(stop.signal).then(
      (data) => stop.signal.aborted || put(data),
      (error) => stop.signal.aborted || setAnswer((before) => ({ ...before, error })),
    );
    return () => stop.abort();
  }, [...deps, lost, round, live && asked.value]);
  return { ...answer, again: () => setRound((count) => count + 1), put };
}

/**
 * Do one thing at a time, when a person asks for it. Say `aria-disabled` of its button meanwhile: one that is
 * `disabled` loses the focus.
 *
 * @returns {{busy: boolean, error: Error | null, run: (what: () => Promise<void>) => Promise<void>}} `run` does
 *   nothing while `busy`; `error`: why the last one failed.
 */
export function useDoing() {
  const [state, setState] = useState({ busy: false, error: null });
  const doing = useRef(false);
  const run = async (what) => {
    if (doing.current) return;
    doing.current = true;
    setState({ busy: true, error: null });
    try {
      await what();
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
    doing.current = false;
  };
  return { ...state, run };
}

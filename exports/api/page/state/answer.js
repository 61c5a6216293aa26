// What a view has asked for, and what came of it.

import { useEffect, useMemo, useRef, useState } from "../lib/ui.js";
import { asked } from "./exports.js";
import { connection } from "./stream.js";

/**
 * Ask when a component is shown, and anew when the connection is back. Meanwhile, and after an error, the data
 * from before stay.
 *
 * @param {(stop: AbortSignal) => Promise<any>} ask
 * @param {any[]} deps What is asked about. When one of them is another one, the data from before are gone.
 * @param {{live?: boolean, version?: any}} options `live`: ask anew for each new export, too. An operator may
 *   see many. `version`: ask anew when it is another one.
 * @returns {{data: any, error: Error | null, again: () => void, put: (data: any) => void}} `data` is null
 *   until there was an answer; `put` takes in what is newer, or a function that makes it of what is there.
 */
export function useAnswer(ask, deps = [], { live = false, version } = {}) {
  const about = useMemo(() => ({}), deps);
  const nothing = { about, data: null, error: null };
  const [answer, setAnswer] = useState(nothing);
  const [round, setRound] = useState(0);
  const { data, error } = answer.about === about ? answer : nothing;
  const lost = connection.value === "lost";
  useEffect(() => {
    if (lost && data !== null) return undefined;
    const stop = new AbortController();
    ask(stop.signal).then(
      (found) => stop.signal.aborted || setAnswer({ about, data: found, error: null }),
      (problem) => stop.signal.aborted || setAnswer((before) => ({ ...(before.about === about ? before : nothing), error: problem })),
    );
    return () => stop.abort();
  }, [about, lost, round, version, live && asked.value]);
  const put = (newer) => setAnswer((before) => {
    // Something else was asked for meanwhile.
    if (before.about !== about) return before;
    return { about, data: typeof newer === "function" ? newer(before.data) : newer, error: null };
  });
  return { data, error, again: () => setRound((count) => count + 1), put };
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

/** One evaluation: its progress, then its report. */

import { insist } from "./api.js";
import { byId, fill } from "./dom.js";
import { JobView } from "./job-view.js";
import { reportOn } from "./report.js";

export const EVALUATION = {
  room: "evaluate",
  titles: {
    queued: "Waiting its turn",
    running: "Being evaluated",
    succeeded: "The report",
    failed: "It could not be evaluated",
    cancelled: "Cancelled",
  },
  unit: "picture",
};

/** @returns {JobView} which shows an evaluation */
export function examination() {
  const place = byId("report");
  const view = new JobView("examination", {
    ...EVALUATION,
    enough: "Report on what was seen",
    another: "Evaluate another",
    onResult: report,
    onClose: () => fill(place),
  });

  async function report(job) {
    try {
      const found = await insist(job.links.result);
      if (view.shows(job.id)) fill(place, ...reportOn(found));
    } catch (error) {
      if (view.shows(job.id)) view.problem.show(error, () => report(job));
    }
  }
  return view;
}

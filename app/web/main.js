/** The entry point: signs in, then opens the tabs. */

import { createClassifyTab } from "./classify.js";
import { createEvaluateTab } from "./evaluate.js";
import { followModels } from "./model-chooser.js";
import { startRouter } from "./router.js";
import { signIn } from "./sign-in.js";
import { createStylizeTab } from "./stylize.js";

await signIn();
const classify = createClassifyTab();
const evaluate = createEvaluateTab();
startRouter({ classify, stylize: createStylizeTab(), evaluate });
followModels((models) => {
  classify.setModels(models);
  evaluate.setModels(models);
});

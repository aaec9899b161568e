/** Opens the house. */

import { classifyRoom } from "./classify.js";
import { enter } from "./entrance.js";
import { evaluateRoom } from "./evaluate.js";
import { followModels } from "./models.js";
import { openRooms } from "./rooms.js";
import { stylizeRoom } from "./stylize.js";

await enter();
const classify = classifyRoom();
const evaluate = evaluateRoom();
openRooms({ classify, stylize: stylizeRoom(), evaluate });
followModels((models) => {
  classify.offer(models);
  evaluate.offer(models);
});

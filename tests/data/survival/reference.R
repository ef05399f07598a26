# Reference numbers for subjects.csv.  Run in this folder: Rscript reference.R
# (Debian 12: r-cran-survival, r-cran-riskregression, r-cran-jsonlite)
suppressPackageStartupMessages({
  library(survival); library(riskRegression); library(prodlim); library(jsonlite)
})
d <- read.csv("subjects.csv")
d$event <- as.integer(d$state == 1)
d$how <- factor(d$state, 0:2, c("censored", "event", "competing"))
num <- function(x) unname(as.numeric(x))
at <- c(180, 365, 730, 1500)

cox <- function(f) {
  s <- summary(f)
  list(
    coef = num(coef(f)), se = num(s$coefficients[, "se(coef)"]),
    hr_lower = num(s$conf.int[, "lower .95"]), hr_upper = num(s$conf.int[, "upper .95"]),
    loglik = num(f$loglik[2]), loglik_null = num(f$loglik[1]), lrt = num(s$logtest[1]),
    score = num(s$sctest[1]), covariance = unname(vcov(f)),
    concordance = num(s$concordance[1]), concordance_se = num(s$concordance[2])
  )
}
km <- function(conf) {
  s <- summary(survfit(Surv(time, event) ~ group, d, conf.type = conf), times = at, extend = TRUE)
  list(group = as.character(s$strata), time = num(s$time), n_risk = num(s$n.risk),
       estimate = num(s$surv), se = num(s$std.err), lower = num(s$lower), upper = num(s$upper))
}
out <- list()
for (conf in c("log", "log-log", "plain")) out[[paste("km", conf)]] <- km(conf)
rows <- survfit(Surv(time, event) ~ group, d, conf.type = "log-log")
m <- summary(rows)$table
out$median <- list(median = num(m[, "median"]), lower = num(m[, "0.95LCL"]), upper = num(m[, "0.95UCL"]))
m <- summary(rows, rmean = 1000)$table
out$restricted_mean <- list(mean = num(m[, "rmean"]), se = num(m[, "se(rmean)"]))
aj <- summary(survfit(Surv(time, how) ~ 1, d), times = at)
out$aalen_johansen <- list(time = at, states = aj$states, p = unname(aj$pstate), se = unname(aj$std.err),
                           lower = unname(aj$lower), upper = unname(aj$upper))
for (rho in 0:1) {
  t <- survdiff(Surv(time, event) ~ group, d, rho = rho)
  out[[paste("log-rank", rho)]] <- list(observed = num(t$obs), expected = num(t$exp), chi2 = num(t$chisq))
}
efron <- coxph(Surv(time, event) ~ age + female + marker, d)
out$cox <- cox(efron)
out$cox_breslow <- cox(coxph(Surv(time, event) ~ age + female + marker, d, ties = "breslow"))
out$cox_strata <- cox(coxph(Surv(time, event) ~ age + marker + strata(group), d))
robust <- coxph(Surv(time, event) ~ age + female + marker, d, cluster = id %/% 2)
out$cox_cluster_se <- num(summary(robust)$coefficients[, "robust se"])
out$proportional <- as.list(as.data.frame(unclass(cox.zph(efron)$table)))
s <- summary(survfit(efron, newdata = data.frame(age = 60, female = 1, marker = 2)), times = at)
out$cox_survival <- list(estimate = num(s$surv), lower = num(s$lower), upper = num(s$upper))
lp <- predict(efron, type = "lp")
for (w in c("n", "n/G2")) {
  k <- concordance(Surv(time, event) ~ lp, d, reverse = TRUE, timewt = w, ymax = 1000)
  out[[paste("concordance", w)]] <- list(c = num(k$concordance), se = sqrt(num(k$var)))
}
fg <- finegray(Surv(time, how) ~ ., d, etype = "event")
f <- coxph(Surv(fgstart, fgstop, fgstatus) ~ age + female + marker, fg, weights = fgwt,
           ties = "breslow", cluster = id)
out$fine_gray <- list(coef = num(coef(f)), se = num(summary(f)$coefficients[, "robust se"]))
d$risk <- 1 - exp(-exp(num(lp)) * 0.25)
times <- c(365, 730, 1095)
risks <- sapply(c(0.12, 0.25, 0.38), function(h) 1 - exp(-exp(num(lp)) * h))
for (kind in c("survival", "competing")) {
  form <- if (kind == "survival") Surv(time, event) ~ 1 else Hist(time, state) ~ 1
  s <- Score(list(m = risks), form, data = d, times = times, cause = 1, cens.model = "km",
             metrics = c("auc", "brier"), null.model = FALSE, conf.int = TRUE)
  out[[paste("score", kind)]] <- list(auc = num(s$AUC$score$AUC), auc_se = num(s$AUC$score$se),
                                      brier = num(s$Brier$score$Brier), brier_se = num(s$Brier$score$se))
}
out$linear_predictor <- num(lp)
out$versions <- list(R = R.version.string, survival = as.character(packageVersion("survival")),
                     riskRegression = as.character(packageVersion("riskRegression")))
write_json(out, "reference.json", digits = 15, auto_unbox = TRUE, pretty = TRUE, na = "null")

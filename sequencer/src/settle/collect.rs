//! Attestations: this validator's own, those of others, and their sum.

use std::sync::Arc;

use conclave_consensus::Attested;
use conclave_types::{
    Attestation, BlockCommitment, G2Bytes, Height, SettlementCertificate, Time, ValidatorIndex,
};

use super::{
    Collected, DoubleAttestation, EARLY_EACH_MAX, EARLY_MAX, PATIENCE, STALE, strays::alone,
};
use crate::{
    archive::{self, ArchiveRequest},
    input::{Event, Peer, Penalty},
    job::{AttestJob, CertifyJob, CheckCertificateJob, Job},
    message::Message,
    sequencer::Sequencer,
};

impl Sequencer {
    /// Attests a revealed height, if this validator may and it is of use.
    pub(super) fn attest(&mut self, height: Height) {
        let Some(collected) = self.settlement.collected.get(&height) else { return };
        let secret = self.context.identity.as_ref().and_then(|own| own.settlement.clone());
        let own = self.context.own_in(&collected.committee);
        let Some((validator, secret)) = own.zip(secret) else { return };
        // One that was rotated is another's here: what it signs would look forged.
        let named = collected.committee.get(validator).map(|member| member.settlement_key);
        if named != self.context.settlement_key {
            return;
        }
        let stale = height.saturating_add(STALE) < self.chain.decided();
        if stale && !collected.is_epoch_end() || !self.may_attest(&collected.commitment) {
            return;
        }
        let digest = collected.digest;
        self.ask(Job::Attest(AttestJob { height, digest, validator, secret }));
    }

    pub(crate) fn on_attested(&mut self, now: Time, height: Height, signature: G2Bytes) {
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        let own = self.context.own_in(&collected.committee);
        let Some(validator) = own.filter(|_| collected.own.is_none()) else { return };
        let (commitment, digest) = (collected.commitment.clone(), collected.digest);
        let attestation = Arc::new(Attestation { commitment, validator, signature });
        collected.own = Some(Arc::clone(&attestation));
        collected.signed(Arc::clone(&attestation));
        self.write(archive::put_own_attestation(&attestation));
        let epoch = attestation.commitment.epoch;
        self.bind(now, Attested { epoch, height, digest: Some(digest) });
        self.broadcast(Message::Attestation(attestation));
        self.certify(height);
    }

    /// A validator attests. Nobody passes on the word of others, so who sent it is who said it; the signature is
    /// checked in the sum.
    pub(crate) fn on_attestation(&mut self, from: Peer, attestation: Arc<Attestation>) {
        let (height, validator) = (attestation.commitment.height, attestation.validator);
        match from {
            Peer::Validator(sender) if sender == validator => {}
            Peer::Validator(_) => {
                return self.penalise(from, Penalty::Invalid("an attestation of somebody else"));
            }
            // It may be a member of a committee that this node has yet to hear of.
            Peer::Full(_) => return,
        }
        if height > self.chain.revealed {
            let is_near = height <= self.chain.revealed.saturating_add(EARLY_MAX);
            if is_near && self.chain.keys.committee_at(height).get(validator).is_some() {
                let early = self.settlement.early.entry((height, validator)).or_default();
                let is_new = early.iter().all(|known| known.commitment != attestation.commitment);
                if is_new && early.len() < EARLY_EACH_MAX {
                    early.push(attestation);
                }
            }
            return;
        }
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        if attestation.commitment != collected.commitment {
            return self.on_other_commitment(&attestation);
        }
        if collected.liars.contains_key(&validator) {
            return self.on_other_commitment(&attestation);
        }
        let is_member = collected.committee.get(validator).is_some();
        if !is_member || collected.attestations.contains_key(&validator) {
            return;
        }
        collected.signed(attestation);
        self.confront_attestation(height, validator);
        self.certify(height);
    }

    /// Adds up what is there, if it is a quorum's.
    pub(super) fn certify(&mut self, height: Height) {
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        if collected.working || collected.certificate.is_some() {
            return;
        }
        let committee = &collected.committee;
        let power = collected.power;
        let is_due = power >= committee.quorum_power();
        if !is_due {
            return;
        }
        collected.working = true;
        let signatures = collected.attestations.iter().filter_map(|(validator, attestation)| {
            Some((*validator, *committee.settlement_key(*validator)?, attestation.signature))
        });
        let job = CertifyJob { height, digest: collected.digest, signatures: signatures.collect() };
        self.ask(Job::Certify(job));
    }

    pub(crate) fn on_certified(
        &mut self,
        height: Height,
        result: Result<(Vec<ValidatorIndex>, G2Bytes), Vec<ValidatorIndex>>,
    ) {
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        collected.working = false;
        match result {
            Ok((signers, signature)) => {
                let commitment = collected.commitment.clone();
                self.certified(SettlementCertificate { commitment, signers, signature });
            }
            Err(liars) => {
                // Each by itself is right and their sum is wrong: keys that were never shown to be held.
                let found_any = !liars.is_empty();
                for liar in liars {
                    collected.forget_signature(liar);
                    collected.liars.insert(liar, None);
                    let penalty = Penalty::Invalid("an attestation with a bad signature");
                    self.ready.effects.penalties.push((Peer::Validator(liar), penalty));
                }
                if found_any {
                    self.certify(height);
                }
            }
        }
    }

    /// A certificate for the commitment that this node has derived, checked.
    fn certified(&mut self, certificate: SettlementCertificate) {
        let height = certificate.commitment.height;
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        if collected.certificate.is_some() {
            return;
        }
        let certificate = Arc::new(certificate);
        collected.certificate = Some(Arc::clone(&certificate));
        self.settlement.certified = self.settlement.certified.max(height);
        self.write(archive::put_certificate(&certificate));
        let checkpoint = self.settlement.checkpoint();
        self.write(archive::put_settlement(&checkpoint));
        self.event(Event::Certified(certificate));
        self.confront_certificate(height);
    }

    /// A peer shows a certificate that this node asked for.
    pub(crate) fn on_certificate(&mut self, from: Peer, certificate: Arc<SettlementCertificate>) {
        let height = certificate.commitment.height;
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        let is_wanted = collected.since.is_some() && !collected.working;
        let is_wanted = is_wanted && collected.certificate.is_none();
        if certificate.commitment != collected.commitment {
            return self.on_other_certificate(from, certificate, is_wanted);
        }
        if !is_wanted {
            return;
        }
        collected.working = true;
        let committee = Arc::clone(&collected.committee);
        let job = CheckCertificateJob { from, certificate, committee, domain: self.context.domain };
        self.ask(Job::CheckCertificate(job));
    }

    pub(crate) fn on_certificate_checked(
        &mut self,
        from: Peer,
        certificate: Arc<SettlementCertificate>,
        holds: bool,
    ) {
        let height = certificate.commitment.height;
        if let Some(collected) = self.settlement.collected.get_mut(&height) {
            collected.working = false;
        }
        if holds {
            self.certified(Arc::unwrap_or_clone(certificate));
        } else {
            self.penalise(from, Penalty::Invalid("a certificate that is none"));
            self.certify(height);
        }
    }

    pub(crate) fn on_want_certificate(&mut self, from: Peer, height: Height) {
        if height <= self.settlement.certified {
            self.ready.effects.serve.push((from, ArchiveRequest::Certificate { height }));
        }
    }

    /// Says again what is not certified after a while, and asks others for the certificate: of every epoch's end,
    /// and of the newest height that has waited so long, which covers the rest.
    pub(crate) fn settle_again(&mut self, now: Time) {
        let certified = self.settlement.certified;
        let mut stuck: Vec<Height> = Vec::new();
        for (height, collected) in self.settlement.collected.iter_mut().rev() {
            let is_end = collected.is_epoch_end();
            if collected.certificate.is_some() || !(is_end || *height > certified) {
                continue;
            }
            let since = *collected.since.get_or_insert(now);
            if since.after(PATIENCE) <= now && (is_end || stuck.is_empty()) {
                collected.since = Some(now);
                stuck.push(*height);
            }
        }
        self.ask_for_strays();
        for height in stuck {
            let collected = self.settlement.collected.get(&height);
            if let Some(own) = collected.and_then(|collected| collected.own.clone()) {
                self.broadcast(Message::Attestation(own));
            }
            self.settlement.turn = self.settlement.turn.wrapping_add(1);
            if let Some(peer) = self.catch_up.any_peer(self.settlement.turn) {
                self.send(peer, Message::WantCertificate { height });
            }
        }
    }

    /// A validator attests another commitment than this node has derived, or the same in another form; or, having
    /// lied about its height, anything at all.
    pub(super) fn on_other_commitment(&mut self, attestation: &Attestation) {
        let Attestation { commitment, validator, signature } = attestation;
        let (height, validator) = (commitment.height, *validator);
        let domain = self.context.domain;
        let theirs = domain.commitment(commitment);
        let Some(committee) = self.committee_of(commitment.epoch) else { return };
        let Some(key) = committee.settlement_key(validator) else { return };
        let Some(collected) = self.settlement.collected.get_mut(&height) else { return };
        let known = collected.liars.get_mut(&validator);
        let is_first = known.is_none();
        let has_lied = matches!(known, Some(Some(_)));
        let before = match known {
            // It is convicted, or has shown a signature that is none.
            Some(None) => return,
            Some(Some(said)) if domain.commitment(&said.commitment) == theirs => return,
            Some(said) => said.take(),
            None => {
                collected.liars.insert(validator, None);
                collected.said_before(validator)
            }
        };
        if !key.has_signed(&theirs, signature) {
            let penalty = Penalty::Invalid("an attestation with a bad signature");
            return self.penalise(Peer::Validator(validator), penalty);
        }
        let is_ours = theirs == collected.digest;
        let second = alone(commitment, validator, *signature);
        // Of the same words in another form the signature serves for both, so it shows nothing by itself; and who
        // attests in two epochs may be a member of both committees.
        let first = before.filter(|first| {
            let found = &first.commitment;
            found.epoch == commitment.epoch && domain.commitment(found) != theirs
        });
        // Who has said two things about a height, of two epochs, is not heard about it any more.
        if first.is_none() && !has_lied {
            collected.liars.insert(validator, Some(second.clone()));
        }
        if is_first && !is_ours {
            self.event(Event::Misattested { height, validator });
        }
        if let Some(first) = first {
            self.keep_double_attestation(DoubleAttestation { first, second, held: None });
        } else if !is_ours {
            self.suspect(validator, commitment);
            self.keep_stray(second, false);
        }
    }

    /// A quorum has certified another commitment than this node has derived: there are two chains, or this node
    /// derives wrongly.
    fn on_other_certificate(
        &mut self,
        from: Peer,
        certificate: Arc<SettlementCertificate>,
        is_wanted: bool,
    ) {
        let BlockCommitment { epoch, height, .. } = certificate.commitment;
        if !self.settlement.strays.takes_answer(from, height) && !is_wanted {
            return;
        }
        let Some(committee) = self.committee_of(epoch) else { return };
        if certificate.verify(&committee, &self.context.domain).is_err() {
            return self.penalise(from, Penalty::Invalid("a certificate that is none"));
        }
        let ours = self.settlement.collected.get(&height).map(|collected| collected.digest);
        let theirs = self.context.domain.commitment(&certificate.commitment);
        if ours.is_none_or(|ours| ours == theirs) {
            return;
        }
        let ours = ours.unwrap_or_default();
        let detail = format!("a quorum certifies commitment {theirs} where this node has {ours}");
        self.event(Event::Anomaly { height, detail });
        self.keep_stray(Arc::unwrap_or_clone(certificate), true);
    }
}

impl Collected {
    /// What a validator has signed of this node's own commitment, which counts no more: by itself, or in the
    /// certificate.
    fn said_before(&mut self, validator: ValidatorIndex) -> Option<SettlementCertificate> {
        let own = self.attested_by(validator);
        self.forget_signature(validator);
        let certificate = self.certificate.as_deref();
        own.or_else(|| certificate.filter(|sum| sum.signers.contains(&validator)).cloned())
    }
}
